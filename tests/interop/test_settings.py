"""Settings, messages and help as a user meets them: config.toml, environment, flags; --quiet,
--verbose, --json; colours; mistyped words; doctor; man pages."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pajamas
import pytest

COMMANDS = ("run", "chat", "quantize", "plan", "imatrix", "validate", "inspect", "tokenize", "models", "doctor",
            "help", "version", "completion", "man")
# What this machine sets must not count.
CLEAN = {name: "" for name in (
    "LLAMA_PAJAMAS_THREADS", "LLAMA_PAJAMAS_CACHE", "LLAMA_PAJAMAS_COLOUR", "LLAMA_PAJAMAS_TEXT",
    "LLAMA_PAJAMAS_KERNELS", "LLAMA_PAJAMAS_CONFIG", "NO_COLOR", "CLICOLOR_FORCE", "HF_HOME",
    "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")}


def run(*args, env=None, **options):
    return pajamas.run(*args, env={**CLEAN, **(env or {})}, **options)


def doctor(*flags, env=None, check=True):
    done = run("doctor", "--no-measure", "--json", *flags, env=env, check=check)
    return json.loads(done.stdout)


def setting(report, name):
    found = [s for s in report["settings"]["values"] if s["name"] == name]
    assert len(found) == 1, report["settings"]
    return found[0]["value"], found[0]["source"]


@pytest.fixture
def config(tmp_path):
    """config(text): the environment that has this file."""
    def make(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return {"LLAMA_PAJAMAS_CONFIG": str(path)}
    return make


def lines_of_json(text):
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert line["level"] in {"error", "note", "info", "detail", "progress"} and "message" in line
    return lines


# Settings


def test_flags_beat_the_environment_and_that_the_file(config):
    env = config("threads = 1\n")
    assert setting(doctor(env=env), "threads") == ("1", "config.toml:1")
    env["LLAMA_PAJAMAS_THREADS"] = "2"
    report = doctor(env=env)
    assert setting(report, "threads") == ("2", "LLAMA_PAJAMAS_THREADS")
    assert report["processor"]["threads"] == 2
    report = doctor("--threads", 3, env=env)
    assert setting(report, "threads") == ("3", "--threads")
    assert report["processor"]["threads"] == 3


def test_the_file_is_found_where_xdg_says(tmp_path):
    folder = tmp_path / "xdg" / "llama-pajamas"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("threads = 1\n")
    env = {k: v for k, v in os.environ.items() if k not in CLEAN}
    env["XDG_CONFIG_HOME"] = str(folder.parent)
    command = [pajamas.BINARY, "doctor", "--no-measure", "--json"]
    report = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert setting(report, "threads") == ("1", "config.toml:1")
    del env["XDG_CONFIG_HOME"]
    env["HOME"] = str(tmp_path)
    report = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert report["settings"]["file"] == str(tmp_path / ".config/llama-pajamas/config.toml")
    assert not report["settings"]["file_read"]


def test_kernels_and_threads_of_the_file_are_used(config):
    env = config('kernels = "ref"\nthreads = 1\n')
    done = run("run", pajamas.TINY, "--prompt", "x", "--max-tokens", 1, "-v", env=env)
    assert "kernels: ref" in done.stderr.splitlines()
    done = run("run", pajamas.TINY, "--prompt", "x", "--max-tokens", 1, "-v", "--kernels",
               pajamas.supported_kernels()[-1], env=env)
    assert f"kernels: {pajamas.supported_kernels()[-1]}" in done.stderr.splitlines()


def test_validate_predicts_the_text_of_the_settings(config, short_text):
    args = ("validate", pajamas.TINY, "--ctx", 128, "--json")
    env = config(f'text = "{short_text}"\n')
    set_by_file = run(*args, env=env).stdout
    assert set_by_file == run(*args, "--text", short_text).stdout
    assert json.loads(set_by_file)["tokens"] < 1200  # the text that is built in has far more
    other = short_text.parent / "other.txt"
    other.write_text(short_text.read_text()[::-1])
    by_flag = run(*args, "--text", other, env=env).stdout
    assert by_flag == run(*args, "--text", other).stdout != set_by_file


@pytest.mark.parametrize("text, place, said", [
    ("threads = 4\nthread = 4\n", "config.toml:2:1", "did you mean threads?"),
    ("threads = 4\n\nthreads == 4\n", "config.toml:3:", "is not TOML"),
    ('colour = "allways"\n', "config.toml:1:1", "did you mean always?"),
    ("threads = 0\n", "config.toml:1:1", "1 to 1024"),
    ('threads = "4"\n', "config.toml:1:1", "threads = 8"),
    ('cache = "relative"\n', "config.toml:1:1", "absolute"),
    ("\0\xff" * 50, "config.toml:1:", "is not TOML"),
])
def test_a_bad_file_is_one_line_with_its_place(config, text, place, said):
    env = config(text)
    done = run("plan", pajamas.TINY, "--method", "Q8_0", env=env, check=False)
    assert done.returncode == 2 and done.stdout == ""
    line, = done.stderr.splitlines()
    assert line.startswith("error:") and place in line and said in line
    # What explains settings works all the same.
    for args in (("plan", "--help"), ("--version",), ("man", "plan"), ("completion", "bash")):
        assert run(*args, env=env).stdout
    done = run("doctor", "--no-measure", env=env, check=False)
    assert done.returncode == 2 and "Settings" in done.stdout and place in done.stderr


def test_a_bad_variable_is_named():
    done = run("plan", pajamas.TINY, "--method", "Q8_0", env={"LLAMA_PAJAMAS_THREADS": "many"},
               check=False)
    assert done.returncode == 2 and "(LLAMA_PAJAMAS_THREADS)" in done.stderr


def test_a_file_that_is_named_must_exist(tmp_path):
    done = run("plan", pajamas.TINY, "--method", "Q8_0", check=False,
               env={"LLAMA_PAJAMAS_CONFIG": str(tmp_path / "no.toml")})
    assert done.returncode == 3 and "no.toml" in done.stderr


# Messages


def test_quiet_says_nothing_but_results(tmp_path):
    args = ("--format", "gguf", "--method", "4bit", "--output")  # a method that is translated
    loud = run("quantize", pajamas.TINY, *args, tmp_path / "a.gguf")
    assert "note:" in loud.stderr and "weights in" in loud.stderr
    quiet = run("quantize", pajamas.TINY, *args, tmp_path / "b.gguf", "--quiet")
    assert quiet.stderr == "" and quiet.stdout
    before = run("-q", "run", pajamas.TINY_OSS, "--prompt", "x", "--max-tokens", 2)
    assert before.stderr == ""
    failed = run("-q", "run", "nowhere", check=False)
    assert failed.returncode == 3 and failed.stderr.startswith("error:")
    both = run("-q", "-v", "run", "nowhere", check=False)
    assert both.returncode == 2 and "--verbose" in both.stderr


def test_verbose_says_more(tmp_path):
    done = run("--verbose", "quantize", pajamas.TINY, "--method", "Q8_0", "--threads", 1,
               "--output", tmp_path / "a.gguf", env={"LLAMA_PAJAMAS_KERNELS": "ref"})
    for said in ("kernels: ref", "setting kernels: ref (LLAMA_PAJAMAS_KERNELS)",
                 "setting threads: 1 (--threads)", "model.safetensors (", "syncing: done in",
                 "all in "):
        assert said in done.stderr, said
    # The same words at either place, and the same result.
    after = run("quantize", pajamas.TINY, "--method", "Q8_0", "--output", tmp_path / "b.gguf", "-v")
    assert "model.safetensors (" in after.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_every_line_of_a_json_log_is_an_object(tmp_path, place):
    args = ["quantize", pajamas.TINY, "--method", "4bit", "--output", tmp_path / "a.gguf", "-v"]
    args = ["--json", *args] if place == "before" else [*args, "--json"]
    lines = lines_of_json(run(*args).stderr)
    assert {"note", "info", "detail"} <= {line["level"] for line in lines}
    assert any(line.get("weights") for line in lines)


def test_errors_of_a_json_log_have_all_parts():
    error, = lines_of_json(run("run", "nowhere", "--prompt", "x", "--json", check=False).stderr)
    assert error == {"level": "error", "message": "no such file or directory", "code": "not_found",
                     "place": "nowhere", "hint": error["hint"], "status": 3}
    # Mistakes on the command line too, wherever the flag is.
    for args in (["--json", "rnu"], ["run", "--json", "--promt", "x", pajamas.TINY]):
        done = run(*args, check=False)
        error, = lines_of_json(done.stderr)
        assert error["code"] == "usage" and error["status"] == done.returncode == 2
        assert "did you mean" in error["hint"]


def test_json_before_a_command_is_also_its_own():
    plain = run("plan", pajamas.TINY, "--method", "4bit", "--json")
    before = run("--json", "plan", pajamas.TINY, "--method", "4bit")
    assert json.loads(before.stdout) == json.loads(plain.stdout)
    assert [line["level"] for line in lines_of_json(plain.stderr)] == ["note"]
    assert before.stderr == plain.stderr


def test_reasoning_is_one_object():
    done = run("run", pajamas.TINY_OSS, "--prompt", "x", "--max-tokens", 5, "--json")
    lines_of_json(done.stderr)


# Colours


def in_terminal(*args, env=None, rows=40, columns=120):
    """What the program writes to a terminal, both streams."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([pajamas.BINARY, *map(str, args)], stdin=follower, stdout=follower,
                               stderr=follower, env={**os.environ, **CLEAN, "TERM": "xterm",
                                                     **(env or {})})
    os.close(follower)
    text = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                read = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            text += read
    process.wait(timeout=30)
    os.close(leader)
    return text.decode(errors="replace")


ESCAPE = "\x1b["


def test_colours_are_for_terminals(config):
    mistake = ("run", "nowhere", "--prompt", "x")
    assert ESCAPE in in_terminal(*mistake)
    assert ESCAPE not in run(*mistake, check=False).stderr
    assert ESCAPE not in in_terminal(*mistake, env={"NO_COLOR": "1"})
    assert ESCAPE not in in_terminal(*mistake, env={"TERM": "dumb"})
    assert ESCAPE not in in_terminal(*mistake, "--colour", "never")
    assert ESCAPE not in in_terminal(*mistake, env=config('colour = "never"\n'))
    # Flags are stronger than NO_COLOR, which is stronger than the file.
    assert ESCAPE in in_terminal(*mistake, "--color", "always", env={"NO_COLOR": "1"})
    assert ESCAPE not in in_terminal(
        *mistake, env={**config('colour = "always"\n'), "NO_COLOR": "1"})
    assert ESCAPE in run(*mistake, check=False, env={"CLICOLOR_FORCE": "1"}).stderr
    assert ESCAPE in run("--colour", "always", *mistake, check=False).stderr
    assert ESCAPE in run("doctor", "--no-measure", "--colour", "always").stdout
    assert ESCAPE not in run("doctor", "--no-measure").stdout
    bad = run("--colour", "blue", *mistake, check=False)
    assert bad.returncode == 2 and "(--colour)" in bad.stderr


def test_a_json_log_has_no_colours():
    lines_of_json(run("--colour", "always", "-v", "run", pajamas.TINY, "--prompt", "x",
                      "--max-tokens", 1, "--json").stderr)


# Mistyped words


@pytest.mark.parametrize("args, meant", [
    (["quantise"], "quantize"),
    (["valdiate"], "validate"),
    (["quant"], "quantize"),
    (["run", "M", "--promt", "x"], "--prompt"),
    (["run", "M", "--thread=3"], "--threads"),
    (["plan", "M", "--method", "Q4_KM"], "Q4_K_M"),
    (["plan", "M", "--method", "4bits", "--format", "mlx"], "4bit"),
    (["plan", "M", "--method", "Q8_0", "--format", "guf"], "gguf"),
    (["plan", "M", "--method", "Q8_0", "--tensor-type", "ffn=Q6K"], "Q6_K"),
    (["run", "M", "--kernels", "avx215", "--prompt", "x"], "avx512"),
    (["run", "M", "--kv-cache", "q80", "--prompt", "x"], "q8_0"),
    (["validate", "M", "--metrics", "perplexiti"], "perplexity"),
    (["inspect", "M", "--tensor", "model.embed_token.weight"], "model.embed_tokens.weight"),
    (["inspect", "MODELS/tiny-qwen"], "models/tiny-qwen2"),
    (["tokenize", "MODELS/tiny-gpt-os", "--text", "x"], "models/tiny-gpt-oss"),
    (["validate", "M", "--text", "HELDUOT"], "heldout.txt"),
    (["completion", "bsh"], "bash"),
    (["man", "rnu"], "run"),
])
def test_what_was_mistyped_is_suggested(args, meant):
    places = {"M": str(pajamas.TINY), "HELDUOT": str(pajamas.HELDOUT.with_name("helduot.txt"))}
    args = [places.get(a, a.replace("MODELS", str(pajamas.ROOT / "models"))) for a in args]
    done = run(*args, check=False)
    line, = done.stderr.splitlines()
    assert done.returncode in (2, 3)
    assert re.search(rf"did you mean \S*{re.escape(meant)}\?", line), line


def test_what_resembles_nothing_is_not_guessed():
    for args in (["zebra"], ["run", pajamas.TINY, "--elephantine"],
                 ["plan", pajamas.TINY, "--method", "excellent"]):
        done = run(*args, check=False)
        assert done.returncode == 2 and "did you mean" not in done.stderr


# What fits


def test_a_context_that_does_not_fit_names_one_that_does():
    done = run("run", pajamas.TINY, "--prompt", "x", "--ctx", 2_000_000_000, check=False)
    assert done.returncode == 9
    assert "try --ctx 512 (" in done.stderr  # what the model was made for


def test_a_small_disk_has_methods_that_fit(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", disk],
                             capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small disk here")
    try:
        args = ("quantize", pajamas.TINY, "--output", disk / "a.gguf", "--method")
        done = run(*args, "F16", check=False)
        assert done.returncode == 7 and "MB are free" in done.stderr
        method = re.search(r"try --method (\S+) \(", done.stderr)[1]
        run(*args, method)
    finally:
        subprocess.run(["umount", disk], check=True)


# doctor


def test_doctor_measures_and_predicts(tmp_path):
    done = run("doctor", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    lines_of_json(done.stderr)
    assert report["processor"]["kernels"] in pajamas.supported_kernels()
    assert set(report["processor"]["supported_kernels"]) == set(pajamas.supported_kernels())
    assert report["processor"]["logical_processors"] == os.cpu_count()
    memory = report["memory"]
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]
    rate = memory["read_bytes_per_second"]
    if memory["buffer_bytes"] is not None:
        assert rate > 0
    assert report["disks"][0]["path"] == str(tmp_path)
    assert not list(tmp_path.iterdir())
    names = [model["model"] for model in report["models"]]
    assert names == ["Qwen2.5-7B-Instruct", "Qwen3-30B-A3B", "gpt-oss-20b"]
    for model in report["models"]:
        if model["fits"]:
            assert model["memory_bytes"] <= memory["available_bytes"]
            if rate:
                assert model["predicted_tokens_per_second"] == pytest.approx(
                    rate / model["bytes_per_token"])
        # The sizes are those of the plan.
        planned = pajamas.run_json("plan", "--config",
                                   pajamas.ROOT / f"models/configs/{model['model']}.json",
                                   "--method", model["method"], "--json")
        assert planned["outputs"][0]["file_bytes"] == pytest.approx(model["file_bytes"], abs=4096)


def test_doctor_agrees_with_inspect_on_bytes_per_token(models, make_checkpoint):
    shape = {"vocab_size": 600, "tie_word_embeddings": False}
    folder = make_checkpoint("untied-doctor", **shape)
    described = pajamas.run_json("inspect", folder, "--json")
    embedding = next(t for t in described["tensors"] if t["name"] == "model.embed_tokens.weight")
    rows, _ = embedding["shape"]
    assert described["bytes_per_token"] == (
        described["tensor_bytes"] - embedding["bytes"] + embedding["bytes"] // rows)


def test_doctor_for_people():
    text = run("doctor", "--no-measure", "--ctx", 2048, "--kv-cache", "q8_0").stdout
    for said in ("Machine", "Disk", "Settings", "Models", "MLX", "GPU", "2,048 (q8_0 cache)",
                 "unknown", "an upper bound"):
        assert said in text, said


def test_doctor_leaves_nothing_when_it_is_stopped(tmp_path):
    process = subprocess.Popen([pajamas.BINARY, "doctor"], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={**os.environ, **CLEAN})
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert not list(tmp_path.iterdir())


# Help


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    run("man", "--output", folder)
    return folder


def test_there_is_a_page_for_every_command(pages):
    names = {page.name for page in pages.iterdir()}
    assert {"llama-pajamas.1"} | {f"llama-pajamas-{name}.1" for name in COMMANDS} <= names
    commands = re.findall(r"^  (\w+) ", run("--help").stdout.split("Subcommands:")[1], re.M)
    assert names == {"llama-pajamas.1"} | {f"llama-pajamas-{name}.1" for name in commands}
    assert run("man", "run").stdout == (pages / "llama-pajamas-run.1").read_text()


def test_pages_are_clean_roff(pages):
    if not shutil.which("groff") and not shutil.which("mandoc"):
        pytest.skip("neither groff nor mandoc is installed")
    for page in pages.iterdir():
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True)
            assert (done.returncode, done.stderr) == (0, b""), page
        if shutil.which("mandoc"):
            done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page], capture_output=True)
            # A page without date is the same whenever it is built.
            said = [line for line in done.stdout.splitlines() if b"missing date" not in line]
            assert not said, page


def test_pages_say_what_help_says(pages):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    for command in COMMANDS:
        text = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou",
                               pages / f"llama-pajamas-{command}.1"], capture_output=True,
                              check=True).stdout.decode()
        options = set(re.findall(r"--[a-z][a-z0-9-]*", run(command, "--help").stdout))
        unbroken = re.sub(r"-\n\s*", "-", text)
        for option in options:
            assert option in unbroken, (command, option)


def test_completion_knows_every_command_and_the_common_options():
    script = run("completion", "bash").stdout
    words = subprocess.run(
        ["bash", "-c", script + '\nCOMP_WORDS=(llama-pajamas ""); COMP_CWORD=1; _llama_pajamas; '
         'echo "${COMPREPLY[@]}"; COMP_WORDS=(llama-pajamas doctor --); COMP_CWORD=2; '
         '_llama_pajamas; echo "${COMPREPLY[@]}"'], capture_output=True, check=True)
    first, second = words.stdout.decode().splitlines()
    assert set(COMMANDS) | {"--quiet", "--json", "--colour"} <= set(first.split())
    assert {"--no-measure", "--verbose", "--threads", "--json"} <= set(second.split())
