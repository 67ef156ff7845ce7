"""The first hour of somebody new: what the program says by itself, words known from other tools,
what is printed to copy, the list of models, machine-readable reports, profiles."""

import json
import os
import re
import shlex
import shutil
import subprocess

import numpy as np
import pajamas
import pytest
from gguf import GGUFReader
from hub_server import Hub, Repo
from test_hub import read_all
from test_settings import CLEAN, in_terminal

SMALL = "Qwen/Qwen2.5-0.5B-Instruct"
ANSWER = ("--raw", "--max-tokens", 8, "--temperature", 0)


def run(*args, env=None, **options):
    return pajamas.run(*args, env={**CLEAN, "LLAMA_PAJAMAS_PROFILE": "", **(env or {})}, **options)


def run_json(*args, **options):
    return json.loads(run(*args, **options).stdout)


def piped(text, *args, **options):
    """With `text` on standard input, by a pipe."""
    command = [str(pajamas.BINARY), *map(str, args)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **CLEAN}, check=True, **options).stdout


def shell(line, cwd, env=None, stdin=""):
    done = subprocess.run(["sh", "-c", line], cwd=cwd, input=stdin, capture_output=True, text=True,
                          timeout=120, env={**os.environ, **CLEAN, **(env or {})})
    assert done.returncode == 0, (line, done.stderr)
    return done


def joined(text):
    """Lines that a shell reads as one."""
    return re.sub(r" \\\n\s*", " ", text)


@pytest.fixture(scope="module")
def ggufs(tmp_path_factory):
    """tiny-qwen2 in three methods, by one pass."""
    out = tmp_path_factory.mktemp("ggufs")
    run("quantize", pajamas.TINY, "--method", "Q4_K_M,Q8_0,BF16", "--output", out)
    return out / "gguf"


@pytest.fixture
def hub(ggufs):
    data = {name: (ggufs / f"model-{name.lower()}.gguf").read_bytes()
            for name in ("Q4_K_M", "Q8_0")}
    files = {f"qwen2.5-0.5b-instruct-{name.lower()}.gguf": d for name, d in data.items()}
    tiny = read_all(pajamas.TINY)
    with Hub({SMALL: Repo(tiny), "Qwen/Qwen2.5-7B-Instruct": Repo(tiny),
              f"{SMALL}-GGUF": Repo(files)}) as hub:
        yield hub


# --- what the program says by itself --------------------------------------------------------------


def test_every_example_of_the_bare_command_works_as_typed(hub, tmp_path):
    done = run()
    assert done.stderr == "" and len(done.stdout.splitlines()) <= 24
    assert max(map(len, done.stdout.splitlines())) <= 80
    lines = re.findall(r"^  (\S.*)$", joined(done.stdout), re.M)
    words = [shlex.split(line) for line in lines]
    assert [w[0] for w in words] == [str(pajamas.BINARY)] * 5
    assert [w[1] for w in words] == ["run", "chat", "quantize", "plan", "doctor"]
    env = hub.env(tmp_path / "home", LLAMA_PAJAMAS_CACHE="")
    for line in lines:
        if "doctor" in line:
            line += " --no-measure"
        assert shell(line, tmp_path, env, stdin="Hello\n" if " chat " in line else "").stdout
    assert (tmp_path / "qwen.gguf").exists()
    # Where help is.
    for command in re.findall(r"`([^`]+)`", done.stdout.replace("\n", " ")):
        assert shell(command, tmp_path).stdout


def test_examples_of_help_parse():
    """Every command in a footer is one that the program takes, up to its model."""
    for name in re.findall(r"^  (\w+) ", run("help").stdout.split("Subcommands:")[1], re.M):
        text = joined(run("help", name).stdout)
        assert "Example" in text, name
        for line in re.findall(r"^  (llama-pajamas .*)$", text, re.M):
            words = shlex.split(line.split("|")[0].split("<")[0])[1:]
            if words[0] in ("completion", "man", "doctor", "models") or "--shape" in words:
                continue
            done = run(*words, check=False, cwd="/", env={"HF_HUB_OFFLINE": "1"})
            assert "no option" not in done.stderr and "required" not in done.stderr, done.stderr


def test_help_and_version():
    assert run("help").stdout == run("--help").stdout
    for name in ("run", "chat", "quantize", "models"):
        assert run("help", name).stdout == run(name, "--help").stdout
    assert run("version").stdout == run("--version").stdout
    done = run("help", "quantise", check=False)
    assert done.returncode == 2 and "did you mean quantize?" in done.stderr
    assert "run" in run("help", "pull", check=False).stderr


def test_text_is_as_wide_as_the_terminal(tmp_path):
    for width in (50, 80, 132):
        for args in (["run", "--help"], ["--help"], ["doctor", "--no-measure"], [],
                     ["run", str(tmp_path / "no"), "-p", "x"], ["plan", pajamas.TINY]):
            text = in_terminal_of(width, *args)
            too_wide = [line for line in text.splitlines()
                        if len(line) > width and " " in line.strip().rstrip("\\").rstrip()[40:]]
            table = [line for line in too_wide if not re.match(r"  (Qwen|gpt|model|MODEL)", line)]
            assert not table or width == 50, (width, args, table)
    # At words: the same text.
    wide, narrow = (in_terminal_of(w, "run", "nowhere", "-p", "x") for w in (500, 40))
    assert narrow.split() == wide.split() and len(narrow.splitlines()) > len(wide.splitlines())
    # What goes elsewhere is one line.
    assert len(run("run", "nowhere", "-p", "x", check=False).stderr.splitlines()) == 1


def in_terminal_of(width, *args):
    program = shlex.join([str(pajamas.BINARY), *map(str, args)])
    binary, pajamas.BINARY = pajamas.BINARY, "sh"
    try:
        text = in_terminal("-c", f"stty cols {width}; {program}", env={"NO_COLOR": "1"})
    finally:
        pajamas.BINARY = binary
    return text.replace("\r", "")


# --- words people know ----------------------------------------------------------------------------


def test_a_prompt_by_every_way(tmp_path):
    text = "My fellow citizens"
    expected = run("run", pajamas.TINY, "--prompt", text, *ANSWER).stdout
    file = tmp_path / "prompt.txt"
    file.write_text(text + "\n")
    short = ("--raw", "-n", 8, "--temp", 0)
    for args in ([pajamas.TINY, text], [pajamas.TINY, "-p", text], [pajamas.TINY, "-f", file],
                 ["-m", pajamas.TINY, "-p", text], ["-m", pajamas.TINY, text],
                 ["--model", pajamas.TINY, "--file", file]):
        assert run("run", *args, *short).stdout == expected, args
    assert piped(text + "\n", "run", pajamas.TINY, *ANSWER) == expected
    assert piped(text, "run", pajamas.TINY, "-f", "-", *ANSWER) == expected
    both = run("run", pajamas.TINY, text, "-p", text, check=False)
    assert both.returncode == 2 and "two prompts" in both.stderr
    more = run("run", pajamas.TINY, "My", "fellow", check=False)
    assert more.returncode == 2 and "fellow" in more.stderr and "quoted" in more.stderr


def test_piped_text_follows_the_prompt(tmp_path):
    expected = run("run", pajamas.TINY, "--prompt", "Read this:\n\nMy fellow\ncitizens", *ANSWER).stdout
    assert expected != run("run", pajamas.TINY, "--prompt", "Read this:", *ANSWER).stdout
    text = "My fellow\ncitizens\n"
    assert piped(text, "run", pajamas.TINY, "Read this:", *ANSWER) == expected
    assert piped(text, "run", pajamas.TINY, "-p", "Read this:", *ANSWER) == expected
    path = tmp_path / "text"
    path.write_text(text)
    with path.open() as file:
        assert run("run", pajamas.TINY, "-p", "Read this:", *ANSWER, stdin=file).stdout == expected
    assert run("run", pajamas.TINY, "-p", "Read this:", "-f", path, *ANSWER).stdout == expected
    # Nothing piped in is nothing added.
    alone = run("run", pajamas.TINY, "-p", "Read this:", *ANSWER).stdout
    assert piped("", "run", pajamas.TINY, "-p", "Read this:", *ANSWER) == alone


def test_a_silent_pipe_is_told_of():
    process = subprocess.Popen([pajamas.BINARY, "run", pajamas.TINY, "-p", "x", "-n", "1"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, **CLEAN})
    line = process.stderr.readline()
    assert "standard input" in line and "/dev/null" in line
    process.communicate("", timeout=60)
    assert process.returncode == 0


def test_chat_is_run_interactive():
    flags = ("--temperature", 0, "--max-tokens", 8)
    assert piped("Who?\nWhy?\n", "chat", pajamas.TINY, *flags) == \
        piped("Who?\nWhy?\n", "run", pajamas.TINY, "-i", *flags)


def test_addresses_are_names_of_the_hub(hub, tmp_path):
    env = hub.env(tmp_path / "home", LLAMA_PAJAMAS_CACHE="")
    wanted = pajamas.tokenize(pajamas.TINY, "citizens")
    for address in (f"https://huggingface.co/{SMALL}", f"hf.co/{SMALL}",
                    f"https://huggingface.co/{SMALL}/tree/main",
                    f"https://huggingface.co/{SMALL}/blob/main/config.json",
                    f"https://huggingface.co/{SMALL}-GGUF/resolve/main/"
                    "qwen2.5-0.5b-instruct-q8_0.gguf?download=true"):
        assert run_json("tokenize", address, "--text", "citizens", env=env) == wanted, address
    for address in ("https://example.com/a/b", "https://huggingface.co/datasets/a/b"):
        done = run("inspect", address, check=False, env=env)
        assert done.returncode == 2 and "huggingface.co/OWNER/NAME" in done.stderr


def test_the_usual_one_of_several_files_is_taken_and_told(hub, tmp_path):
    env = hub.env(tmp_path / "home", LLAMA_PAJAMAS_CACHE="")
    name = f"{SMALL}-GGUF"
    for _ in range(2):  # downloaded, and then from the cache
        done = run("inspect", name, env=env)
        assert "Q4_K_M" in done.stdout.splitlines()[0]
        note, = [line for line in done.stderr.splitlines() if line.startswith("note:")]
        assert "q4_k_m.gguf is taken" in note and f"{name}:FILE" in note and "q8_0" in note
    assert "note:" not in run("inspect", name + ":q8_0", env=env).stderr


@pytest.mark.parametrize("args, said", [
    (["pull", "a/b"], "`llama-pajamas run a/b`"),
    (["list"], "`llama-pajamas models`"),
    (["rm", "a/b"], "`llama-pajamas models --remove a/b`"),
    (["serve"], "no server yet"),
    (["bench"], "`llama-pajamas benchmark MODEL`"),
    (["--quiet", "serve"], "no server yet"),
    (["model.gguf"], "run model.gguf"),
    (["a/b"], "run a/b"),
    (["run", "M", "-ngl", "99", "-p", "x"], "no GPU yet"),
    (["run", "M", "-p", "x", "--n-predict", "5"], "--max-tokens (-n)"),
    (["run", "M", "-p", "x", "--ctx-size", "5"], "--ctx (-c)"),
    (["run", "-hf", "a/b", "-p", "x"], "owner/name"),
    (["run", "M", "-p", "x", "-fa", "on"], "leave it out"),
    (["quantize", "M", "--outtype", "q8_0"], "--method"),
    (["quantize", "M", "--method", "4bit", "--outfile", "x"], "--output (-o)"),
    (["--profile", "x"], "no command is given"),
])
def test_words_of_other_tools_are_answered(args, said):
    done = run(*[str(pajamas.TINY) if a == "M" else a for a in args], check=False)
    line, = done.stderr.splitlines()
    assert done.returncode == 2 and said in line, line


# --- quantize: several at once, and what comes next -----------------------------------------------


def test_several_methods_in_one_pass(ggufs, tmp_path):
    out = tmp_path / "out"
    run("quantize", pajamas.TINY, "--format", "gguf,mlx", "--method", "Q4_K_M,Q8_0:4bit,8bit",
        "--output", out)
    assert sorted(p.name for p in (out / "gguf").iterdir()) == ["model-q4_k_m.gguf",
                                                                "model-q8_0.gguf"]
    assert sorted(p.name for p in (out / "mlx").iterdir()) == ["model-4bit", "model-8bit"]
    for method in ("Q4_K_M", "Q8_0"):  # each as it is alone
        alone = tmp_path / f"{method}.gguf"
        run("quantize", pajamas.TINY, "--method", method, "-o", alone)
        mine = out / "gguf" / f"model-{method.lower()}.gguf"
        assert tensors(alone) == tensors(mine) == tensors(ggufs / mine.name)
    run("quantize", pajamas.TINY, "--format", "mlx", "--method", "8bit", "-o", tmp_path / "alone")
    assert (tmp_path / "alone/model.safetensors").read_bytes() == \
        (out / "mlx/model-8bit/model.safetensors").read_bytes()
    both = run("plan", pajamas.TINY, "--format", "gguf,mlx", "--method", "Q4_K_M,Q4_0")
    assert both.stdout.count("bits per weight") == 3  # of MLX one: 4bit
    one_file = run("quantize", pajamas.TINY, "--method", "Q4_0,Q8_0", "-o", tmp_path / "x.gguf",
                   check=False)
    assert one_file.returncode == 2 and "folder" in one_file.stderr
    twice = run("quantize", pajamas.TINY, "--method", "Q4_0,Q4_0", "-o", tmp_path / "y", check=False)
    assert twice.returncode == 2 and "twice" in twice.stderr


def tensors(path):
    return [(t.name, t.tensor_type, t.data.tobytes()) for t in GGUFReader(path).tensors]


def test_each_tensor_is_read_once(tmp_path):
    """What the process reads does not grow with the number of outputs."""
    # Read here, so that all find it in the page cache, past which whole pages are read.
    size = len((pajamas.TINY / "model.safetensors").read_bytes())
    read = []
    for methods in ("Q8_0", "Q8_0,Q4_0,Q4_1"):
        command = shlex.join([str(pajamas.BINARY), "quantize", str(pajamas.TINY), "--method", methods,
                              "--output", str(tmp_path / f"out{len(read)}")])
        # The shell's figures have those of what it waited for.
        done = shell(f"{command} >/dev/null; cat /proc/$$/io", tmp_path)
        read.append(int(re.search(r"^rchar: (\d+)", done.stdout, re.M)[1]))
    assert size < read[0] and read[1] < read[0] + size // 8


def test_the_next_command_works_as_it_is_printed(tmp_path):
    folder = tmp_path / "it's my folder"
    folder.mkdir()
    shutil.copytree(pajamas.TINY, folder / "tiny model")
    done = run("quantize", folder / "tiny model", "--format", "gguf,mlx", "--method", "Q4_0:4bit",
               "--output", folder / "out $HOME")
    lines = re.findall(r"^  (.+)$", done.stderr, re.M)
    assert [shlex.split(line)[1] for line in lines] == ["run", "run", "validate"]
    for line in lines:
        if " run " in line:
            assert shell(line + " -n 2", tmp_path, stdin="Hello").stdout
        else:
            assert "mean KL" in shell(line + " --ctx 64 --chunks 1", tmp_path).stdout
    assert "  " not in run("quantize", pajamas.TINY, "--method", "Q8_0", "-o", tmp_path / "q.gguf",
                           "--quiet").stderr


# --- models ---------------------------------------------------------------------------------------


def test_models_of_the_cache_and_of_folders(hub, ggufs, tmp_path):
    env = hub.env(tmp_path / "home", LLAMA_PAJAMAS_CACHE="")
    assert "none" in run("models", env=env).stdout
    for model in (SMALL, f"{SMALL}-GGUF:q8_0", f"{SMALL}-GGUF:q4_k_m"):
        run("run", model, "-p", "x", "-n", 1, env=env)
    run("quantize", pajamas.TINY, "--format", "mlx", "--method", "4bit", "-o", tmp_path / "f/mlx4")
    report = run_json("models", ggufs, tmp_path / "f", "--json", env=env)
    cache, one, two = report["places"]
    gguf = f"{SMALL}-GGUF:qwen2.5-0.5b-instruct-"
    assert [(m["model"], m["format"], m["type"]) for m in cache["models"]] == [
        (SMALL, "Hugging Face", "BF16"), (gguf + "q4_k_m.gguf", "GGUF", "Q4_K_M"),
        (gguf + "q8_0.gguf", "GGUF", "Q8_0")]
    assert cache["models"][2]["bytes"] == (ggufs / "model-q8_0.gguf").stat().st_size
    assert [(m["path"], m["type"]) for m in one["models"]] == [
        (str(ggufs / f"model-{t.lower()}.gguf"), t) for t in ("BF16", "Q4_K_M", "Q8_0")]
    assert [(m["format"], m["type"]) for m in two["models"]] == [("MLX", "4bit")]
    # Every name is one that `run` takes.
    for model in cache["models"]:
        run("run", model["model"], "--no-download", "-p", "x", "-n", 1, env=env)
    text = run("models", ggufs, env=env).stdout
    for said in (SMALL, "q8_0.gguf", "Q4_K_M", "MB", str(ggufs)):
        assert said in text
    done = run("models", tmp_path / "nowhere", check=False, env=env)
    assert done.returncode == 3


def test_models_are_removed_on_request_alone(hub, tmp_path):
    env = hub.env(tmp_path / "home", LLAMA_PAJAMAS_CACHE="")
    cache = tmp_path / "home/hub"
    for model in (SMALL, f"{SMALL}-GGUF:q8_0", f"{SMALL}-GGUF:q4_k_m"):
        run("run", model, "-p", "x", "-n", 1, env=env)
    names = lambda: [m["model"] for m in run_json("models", "--json", env=env)["places"][0]["models"]]
    done = run("models", "--remove", SMALL, check=False, env=env)
    assert done.returncode == 2 and "--yes" in done.stderr and len(names()) == 3
    before = sum(f.stat().st_size for f in cache.rglob("*") if f.is_file() and not f.is_symlink())
    run("models", "--remove", f"{SMALL}-GGUF:q8_0", "--yes", env=env)
    assert len(names()) == 2 and not any("q8_0" in name for name in names())
    after = sum(f.stat().st_size for f in cache.rglob("*") if f.is_file() and not f.is_symlink())
    assert before - after == len(hub.repos[f"{SMALL}-GGUF"].files["qwen2.5-0.5b-instruct-q8_0.gguf"])
    run("models", "--remove", f"https://huggingface.co/{SMALL}", "--remove", f"{SMALL}-GGUF", "--yes",
        env=env)
    assert names() == [] and not list(cache.glob("models--*"))
    done = run("models", "--remove", SMALL, "--yes", check=False, env=env)
    assert done.returncode == 3 and "not in the hub's cache" in done.stderr
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    done = run("models", "--remove", tmp_path / "m.gguf", "--yes", check=False, env=env)
    assert done.returncode == 2 and (tmp_path / "m.gguf").exists()


def test_removing_asks_in_a_terminal(hub, tmp_path):
    env = {**hub.env(tmp_path / "home"), "LLAMA_PAJAMAS_CACHE": ""}
    run("run", SMALL, "-p", "x", "-n", 1, env=env)
    from terminal import Terminal
    for answer, left in (("n", True), ("y", False)):
        folder = tmp_path / answer
        folder.mkdir()
        terminal = Terminal(folder, [pajamas.BINARY, "models", "--remove", SMALL], env=env)
        try:
            terminal.wait(r"\[y/N\]")
            terminal.type(answer)
            assert terminal.status() == 0
        finally:
            terminal.close()
        assert (tmp_path / "home/hub/models--Qwen--Qwen2.5-0.5B-Instruct").exists() == left


# --- for programs ---------------------------------------------------------------------------------


def test_quantize_tells_what_it_wrote(tmp_path):
    done = run("quantize", pajamas.TINY, "--format", "gguf,mlx", "--method", "Q8_0:4bit", "--json",
               "--output", tmp_path / "out")
    report = json.loads(done.stdout)
    gguf, mlx = report["outputs"]
    assert gguf["path"] == str(tmp_path / "out/gguf/model-q8_0.gguf") and mlx["method"] == "4bit"
    assert gguf["file_bytes"] == os.path.getsize(gguf["path"])
    assert report["weights"] > 0 and report["seconds"] > 0 and report["peak_memory_bytes"] > 0
    planned = run_json("quantize", pajamas.TINY, "--method", "Q8_0", "--dry-run", "--json",
                       "--output", tmp_path / "x.gguf")
    assert planned["dry_run"] and planned["outputs"][0]["file_bytes"] == gguf["file_bytes"]
    assert planned["outputs"][0]["tensors"] and not (tmp_path / "x.gguf").exists()


def test_run_answers_in_one_object(ggufs):
    plain = run("run", pajamas.TINY, "-p", "My fellow citizens", *ANSWER).stdout
    answer = run_json("run", pajamas.TINY, "-p", "My fellow citizens", *ANSWER, "--json")
    assert answer["text"] + "\n" == plain and answer["finish_reason"] == "length"
    assert answer["generated_tokens"] == 8 and answer["reasoning"] == ""
    assert answer["prompt_tokens"] == len(pajamas.tokenize(pajamas.TINY, "My fellow citizens"))
    assert answer["generation_tokens_per_second"] > 0 and answer["context"] == 512
    before = run("--json", "run", pajamas.TINY, "-p", "My fellow citizens", *ANSWER)
    assert json.loads(before.stdout)["text"] == answer["text"]
    lines = piped("Who?\nWhy?\n", "chat", pajamas.TINY, "-n", 4, "--json").splitlines()
    assert [json.loads(line)["generated_tokens"] for line in lines] == [4, 4]


def test_validate_names_model_text_and_context(short_text, ggufs):
    model = ggufs / "model-q8_0.gguf"
    score = run_json("validate", model, "--reference", pajamas.TINY, "--metrics", "perplexity,kl",
                     "--text", short_text, "--ctx", 128, "--chunks", 2, "--json")
    assert score["model"] == str(model) and score["reference"] == str(pajamas.TINY)
    assert score["text"] == str(short_text) and score["context"] == 128 and score["chunks"] == 2
    embedded = run_json("validate", pajamas.TINY, "--ctx", 128, "--chunks", 1, "--json")
    assert embedded["text"] == "embedded" and "reference" not in embedded


def test_inspect_names_the_quantization(ggufs, tmp_path):
    for method in ("Q4_K_M", "Q8_0", "BF16"):
        path = ggufs / f"model-{method.lower()}.gguf"
        assert run_json("inspect", path, "--json")["quantization"] == method
        assert method in run("inspect", path).stdout.splitlines()[0]
    assert run_json("inspect", pajamas.TINY, "--json")["quantization"] == "BF16"
    assert run_json("inspect", pajamas.TINY_OSS, "--json")["quantization"] == "MXFP4"
    for method, flags in (("4bit", ()), ("8bit-g32", ("--group-size", 32))):
        out = tmp_path / method
        run("quantize", pajamas.TINY, "--format", "mlx", "--method", method.split("-")[0], *flags,
            "--output", out)
        assert run_json("inspect", out, "--json")["quantization"] == method


def test_inspect_shows_every_key(ggufs):
    path = ggufs / "model-q4_k_m.gguf"
    reader = GGUFReader(path)
    theirs = {name: field.contents() for name, field in reader.fields.items()
              if not name.startswith("GGUF.")}
    ours = {row["key"]: row["value"] for row in run_json("inspect", path, "--metadata", "--json")}
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if isinstance(value, (float, np.floating)) or (isinstance(value, list) and value
                                                       and isinstance(value[0], float)):
            assert ours[key] == pytest.approx(value), key
        else:
            assert ours[key] == value, key
    text = run("inspect", path, "--metadata").stdout
    for key in theirs:
        assert re.search(rf"^{re.escape(key)} ", text, re.M), key
    done = run("inspect", pajamas.TINY, "--metadata", check=False)
    assert done.returncode == 5 and "config.json" in done.stderr


# --- plan, rates ----------------------------------------------------------------------------------


def test_plan_begins_with_its_sum():
    done = run("plan", pajamas.TINY, "--method", "Q4_K_M")
    lines = done.stdout.splitlines()
    assert re.match(r"gguf +Q4_K_M +2\.\d MB +5\.\d+ bits per weight", lines[0])
    assert len(lines) < 15 and "blk.0" not in done.stdout and "--all" in done.stderr
    assert "memory to run" in done.stdout and "memory to quantize" in done.stdout
    planned = run_json("plan", pajamas.TINY, "--method", "Q4_K_M", "--json")["outputs"][0]["tensors"]
    for kind in {t["type"] for t in planned}:
        count = sum(t["type"] == kind for t in planned)
        size = sum(t["bytes"] for t in planned if t["type"] == kind)
        assert re.search(rf"^  {kind} +{count} +[\d,]+ +{size:,}$", done.stdout, re.M), kind
    everything = run("plan", pajamas.TINY, "--method", "Q4_K_M", "--all").stdout
    assert everything.startswith(done.stdout) and "blk.0.attn_q.weight" in everything


def test_rates_have_three_figures(tmp_path):
    texts = [run("run", pajamas.TINY, "-p", "x", "-n", 4).stderr,
             piped_stderr("Who?\n/stats\n", "chat", pajamas.TINY, "-n", 4)]
    for text in texts:
        rates = re.findall(r"([\d,.]+) tokens/s", text)
        assert rates
        for rate in rates:
            digits = rate.replace(",", "").replace(".", "").lstrip("0")
            assert rate == "0" or len(digits) == 3 or set(digits[3:]) == {"0"}, rate


def piped_stderr(text, *args):
    return subprocess.run([str(pajamas.BINARY), *map(str, args)], input=text, capture_output=True,
                          text=True, timeout=60, env={**os.environ, **CLEAN}, check=True).stderr


# --- settings that stay ---------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('temperature = 0\ncontext = 100000\nsystem = "Be brief."\nkv_cache = "q8_0"\n'
                    '[profile.wild]\ntemperature = 30\nkv_cache = "f16"\n')
    return {"LLAMA_PAJAMAS_CONFIG": str(path)}


def test_settings_of_every_day(config, thinker_template):
    ask = ("run", thinker_template, "-p", "Hello", "-n", 8, "--json")
    by_flags = run_json(*ask, "--temperature", 0, "--ctx", 512, "--system", "Be brief.",
                        "--kv-cache", "q8_0")
    by_file = run(*ask, env=config)
    answer = json.loads(by_file.stdout)
    same = ("text", "prompt_tokens", "context", "kv_cache")
    assert [answer[k] for k in same] == [by_flags[k] for k in same]
    assert "note" not in by_file.stderr  # a context that is more than this model's
    assert answer["prompt_tokens"] > run_json(*ask)["prompt_tokens"]
    # Flags are stronger, and other commands have nothing to do with it.
    assert run_json(*ask, "--kv-cache", "f32", env=config)["kv_cache"] == "f32"
    score = ("validate", pajamas.TINY, "--ctx", 64, "--chunks", 1, "--json")
    assert run(*score, env=config).stdout == run(*score).stdout
    raw = run("run", pajamas.TINY, "-p", "x", *ANSWER, env=config)
    assert "ignored" not in raw.stderr


@pytest.fixture(scope="module")
def thinker_template(tmp_path_factory):
    """tiny-qwen2 with a chat template."""
    folder = tmp_path_factory.mktemp("chat") / "tiny"
    shutil.copytree(pajamas.TINY, folder)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:")
    return folder


def test_profiles(config):
    ask = ("run", pajamas.TINY, "--raw", "-p", "My fellow", "-n", 8, "--json")
    wild = run_json(*ask, "--profile", "wild", env=config)
    assert wild["kv_cache"] == "f16"
    assert wild["text"] == run_json(*ask, "--temperature", 30, "--kv-cache", "f16")["text"]
    assert wild == {**run_json(*ask, env={**config, "LLAMA_PAJAMAS_PROFILE": "wild"}),
                    **{k: v for k, v in wild.items() if "second" in k or "memory" in k}}
    done = run(*ask, "--profile", "wlid", env=config, check=False)
    assert done.returncode == 2 and "did you mean wild?" in done.stderr
    report = run_json("doctor", "--no-measure", "--json", "--profile", "wild", env=config)
    assert report["settings"]["profile"] == "wild" and report["settings"]["profiles"] == ["wild"]
    assert "wild" in run("doctor", "--no-measure", env=config).stdout
