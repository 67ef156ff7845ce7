"""The backend "mlx" against the CPU engine on the same files, and against stock mlx-lm."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pajamas
import peers
import pytest
from effort import every
from mlx_lm import convert

# MLX is not instrumented, so that a build with a sanitizer has no plug-in (tools/nightly.sh).
pytestmark = pytest.mark.skipif(pathlib.Path(pajamas.BINARY).parent.name == "asan", reason="no plug-in with ASan")

VOCAB, CTX = 2048, 128
GRID = every(4, [(bits, group) for bits in pajamas.MLX_BITS for group in pajamas.MLX_GROUPS])
ON_MLX = ("--backend", "mlx", "--activations", "float")
ON_CPU = ("--backend", "cpu", "--activations", "float")


@pytest.fixture(scope="module")
def text(scratch):
    """Two chunks of any of the models' tokens."""
    path = scratch / "mlx-backend.txt"
    path.write_text(pajamas.HELDOUT.read_text()[:1400])
    return path


def relative(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def both(model, text, scratch):
    return (pajamas.logits(model, text, CTX, VOCAB, scratch, *flags) for flags in (ON_MLX, ON_CPU))


@pytest.mark.parametrize("bits,group", GRID)
def test_directories_of_every_width(models, text, scratch, bits, group):
    folder = models.mlx(f"{bits}bit", "--group-size", str(group))
    ours, cpu = both(folder, text, scratch)
    assert relative(ours, cpu) < 1e-5


@pytest.mark.parametrize("mode", ["mxfp4", "mxfp8", "nvfp4"])
def test_directories_of_small_floats(models, text, scratch, mode):
    ours, cpu = both(models.mlx(mode), text, scratch)
    assert relative(ours, cpu) < 1e-5


@pytest.mark.parametrize("method", ["4bit", "mxfp4", "original"])
def test_mixtures_of_experts(subject, text, scratch, method):
    model = subject.original if method == "original" else subject.models_of(
        subject.opened() if method == "4bit" else subject.source).mlx(method)
    ours, cpu = both(model, text, scratch)
    assert relative(ours, cpu) < 1e-5
    assert (ours.argmax(1) == cpu.argmax(1)).mean() > .99


def test_the_library_itself_made_the_directory(text, scratch, tmp_path):
    """A directory of stock mlx-lm, and its own logits of the same weights in float32."""
    folder = tmp_path / "theirs"
    convert(str(pajamas.TINY), str(folder), quantize=True, q_group_size=64, q_bits=4)
    ours = pajamas.logits(folder, text, CTX, VOCAB, scratch, *ON_MLX)
    ids = pajamas.tokenize_many(pajamas.TINY, [text.read_text()], scratch)[0]
    theirs = peers.mlx_logits(folder, peers.split(ids, CTX))
    assert relative(ours, theirs) < 1e-4 and (ours.argmax(1) == theirs.argmax(1)).mean() > .99


def test_answers_are_those_of_the_cpu(models):
    folder = models.mlx("4bit")
    answers = {pajamas.run("run", folder, "--raw", "--prompt", "The history of the", "--temperature",
                           "0", "--max-tokens", "24", *flags).stdout for flags in (ON_MLX, ON_CPU)}
    assert len(answers) == 1


@pytest.mark.parametrize("kept", ["q8_0", "q4_0", "q3_0"])
def test_keys_and_values_as_codes(subject, text, scratch, kept):
    """The distance from numbers is of the size that the CPU's codes of the same width have."""
    model = subject.models_of(subject.opened()).mlx("4bit")
    exact = pajamas.logits(model, text, CTX, VOCAB, scratch, *ON_CPU)
    ours, cpu = (pajamas.logits(model, text, CTX, VOCAB, scratch, *flags, "--kv-cache", kept)
                 for flags in (ON_MLX, ON_CPU))
    error = np.square(ours - exact).mean() ** .5
    assert 0 < error < 3 * np.square(cpu - exact).mean() ** .5


def test_benchmark_tells_what_the_library_counts(models):
    def peak(backend):
        return pajamas.run_json("benchmark", models.mlx("4bit"), "--backend", backend, "--context-lengths", "16",
                                "--prompt-tokens", "4", "--generation-tokens", "2", "--repeats", "1",
                                "--json").get("library_peak_bytes")

    assert 0 < peak("mlx") < 1 << 30 and peak("cpu") is None


def test_compare_puts_the_two_side_by_side(models, text):
    done = pajamas.run("compare", "--model1", models.gguf("Q4_0"), "--model2", models.mlx("4bit"),
                       "--backend1", "cpu", "--backend2", "mlx", "--metrics",
                       "speed,memory,quality,size", "--text", text, "--ctx", "128", "--json",
                       "--context-lengths", "16", "--repeats", "2", timeout=300)
    report = json.loads(done.stdout)
    assert [m["format"].lower() for m in report["models"]] == ["gguf", "mlx"]
    assert {v["metric"] for v in report["verdicts"]} >= {"speed", "memory", "quality", "size"}


@pytest.mark.parametrize("flags,says", [
    (("--threads", "2"), "has no threads to choose"),
    (("--kernels", "ref"), "has no kernels to choose"),
])
def test_what_it_has_nothing_for(models, flags, says):
    done = pajamas.run("run", models.mlx("4bit"), "--prompt", "hi", "--backend", "mlx", *flags,
                       check=False)
    assert done.returncode == 5
    assert done.stderr.count("error:") == 1 and '"mlx"' in done.stderr and says in done.stderr


def test_settings_for_every_run_are_not_refused(models, monkeypatch):
    monkeypatch.setenv("LLAMA_PAJAMAS_THREADS", "1")
    done = pajamas.run("run", models.mlx("4bit"), "--raw", "--prompt", "hi", "--max-tokens", "1", "--backend", "mlx",
                       "--json")
    assert json.loads(done.stdout)["backend"] == "mlx"


def test_auto_says_what_it_chose(models):
    """Of an MLX directory in a note, of what leaves no choice with --verbose alone; machines read it in the answer."""
    def run(model, *flags):
        return pajamas.run("run", model, "--raw", "--prompt", "hi", "--max-tokens", "1", *flags)

    mlx, gguf = models.mlx("4bit"), models.gguf("Q4_0")
    assert f"note: {mlx} runs on the backend cpu: " in run(mlx).stderr
    assert "the backend" not in run(gguf).stderr and "runs on the backend cpu" in run(gguf, "-v").stderr
    assert "the backend" not in run(mlx, "--quiet").stderr
    done = run(mlx, "--json")
    assert "the backend" not in done.stderr and json.loads(done.stdout)["backend"] == "cpu"
    assert "the backend" not in run(mlx, "--backend", "cpu").stderr


def test_doctor_shows_every_backend():
    report = pajamas.run_json("doctor", "--no-measure", "--json")
    backends = {each["name"]: each for each in report["backends"]}
    assert backends["cpu"] == {"name": "cpu", "built_in": True, "plugin": None, "usable": True,
                               "runs_on": "this machine's processor", "why_not": None}
    assert backends["mlx"]["usable"] and not backends["mlx"]["built_in"]
    assert pathlib.Path(backends["mlx"]["plugin"]).is_file()
    assert {each["format"]: each["backend"] for each in report["automatic_backend"]} == {
        "GGUF": "cpu", "MLX": "cpu", "Hugging Face": "cpu"}
    text = pajamas.run("doctor", "--no-measure").stdout
    assert "backend auto" in text and "cpu for MLX" in text


def test_compare_takes_threads_for_those_that_know_them(models):
    flags = ("--model1", models.gguf("Q4_0"), "--model2", models.mlx("4bit"), "--backend2", "mlx", "--threads", "1",
             "--metrics", "size", "--json", "--context-lengths", "16")
    pajamas.run("compare", *flags)
    done = pajamas.run("compare", *flags, "--backend1", "mlx", check=False)
    assert done.returncode == 5 and "has no threads to choose" in done.stderr


def test_gguf_blocks_are_refused(models):
    done = pajamas.run("run", models.gguf("Q4_K_M"), "--prompt", "hi", "--backend", "mlx", check=False)
    assert done.returncode == 5 and done.stderr.count("error:") == 1
    assert 'the backend "mlx" does not run weights stored as' in done.stderr
    assert "--backend cpu" in done.stderr


def test_the_program_starts_without_the_plug_in(models, tmp_path):
    """Copied away from it, the program says how to get it."""
    alone = tmp_path / "llama-pajamas"
    shutil.copy(pathlib.Path(pajamas.BINARY), alone)
    done = subprocess.run([alone, "run", models.mlx("4bit"), "--prompt", "hi", "--backend", "mlx"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 5 and done.stderr.count("error:") == 1
    assert "tools/setup_mlx.sh" in done.stderr and "cpu" in done.stderr
    assert subprocess.run([alone, "--version"], timeout=60).returncode == 0
