"""What the program owes the shell: standard streams, signals, limits, links, odd names; and that its
errors say nothing that is not so. POSIX, and what GNU's tools do, are the reference."""

import functools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import gguf
import pajamas
import pytest
from test_chat import QWEN3, ids_of, make_model
from tokenizers import Tokenizer

TINY = str(pajamas.TINY)
HELLO = ["run", TINY, "--raw", "--prompt", "My fellow citizens", "--max-tokens", "4"]
# One command line for each way of printing.
PRINTING = {
    "plan": ["plan", TINY, "--method", "Q4_K_M"],
    "plan-json": ["plan", TINY, "--method", "Q4_K_M", "--json"],
    "dry-run": ["quantize", TINY, "--method", "Q4_K_M", "--output", "x.gguf", "--dry-run"],
    "inspect": ["inspect", TINY],
    "inspect-json": ["inspect", TINY, "--json"],
    "tokenize": ["tokenize", TINY, "--text", "My fellow citizens"],
    "validate": ["validate", TINY, "--ctx", "32", "--chunks", "2"],
    "doctor": ["doctor", "--no-measure"],
    "benchmark": ["benchmark", TINY, "--context-lengths", "16", "--prompt-tokens", "8",
                  "--generation-tokens", "2", "--repeats", "1"],
    "run": HELLO,
    "run-json": [*HELLO, "--json"],
    "front-page": [],
    "help-command": ["help", "run"],
    "models": ["models", str(pajamas.ROOT / "models")],
    "man": ["man", "quantize"],
    "completion": ["completion", "bash"],
    "help": ["--help"],
    "help-of-run": ["run", "--help"],
    "version": ["--version"],
    "version-command": ["version"],
}


def errors_of(text):
    """Their lines, for people or as JSON."""
    return [line for line in text.splitlines() if line.startswith(("error:", '{"level":"error"'))]


def fails(*args, status=None, **options):
    """The one error line."""
    done = pajamas.run(*args, check=False, **options)
    assert 0 < done.returncode < 128 and status in (None, done.returncode), done
    [line] = errors_of(done.stderr)
    assert "json" not in line or "exception" not in line, line
    return line


def start(args, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               **options}
    # As a shell starts it, whatever started the tests.
    return subprocess.Popen([pajamas.BINARY, *args], preexec_fn=lambda: [
        signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)], **options)


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """Says YZYZ... without end."""
    tokenizer = Tokenizer.from_file(str(QWEN3 / "tokenizer.json"))
    chain = ids_of(tokenizer, "\n", "Y", "Z", "Y")
    return make_model(tmp_path_factory.mktemp("talker"), QWEN3, tokenizer, chain)


# --- standard streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_dev_null(tmp_path, closed):
    """No file gets their numbers, so nothing is printed into one."""
    def shell(redirection, *args):
        return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirection}', pajamas.BINARY, *args],
                              timeout=60, capture_output=True).returncode

    null = closed.replace("<&-", "</dev/null").replace(">&-", ">/dev/null")
    prompt = ["run", TINY, "--raw", "--max-tokens", "4"]
    assert shell(closed, *prompt) == shell(null, *prompt) == 2  # the prompt is empty
    assert shell(closed, *HELLO) == 0
    for folder, redirection in (("closed", closed), ("null", null)):
        assert shell(redirection, "quantize", TINY, "--format", "gguf,mlx", "--method", "Q4_0",
                     "--output", str(tmp_path / folder)) == 0
    for path in (tmp_path / "null").rglob("*"):
        other = tmp_path / "closed" / path.relative_to(tmp_path / "null")
        assert path.is_dir() or path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", PRINTING)
def test_a_reader_that_goes_away_ends_it_in_silence(name, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    process = start(PRINTING[name], stdout=writer, cwd=tmp_path)
    os.close(writer)
    stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 128 + signal.SIGPIPE, stderr
    assert not errors_of(stderr) and "bug" not in stderr


@pytest.mark.parametrize("name", PRINTING)
def test_a_full_disk_behind_standard_output(name, tmp_path):
    with open("/dev/full", "wb") as full:
        process = start(PRINTING[name], stdout=full, cwd=tmp_path)
    stderr = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 8, stderr
    [error] = errors_of(stderr)
    assert "cannot write to standard output" in error and "disk is full" in error


@pytest.mark.parametrize("where", ["full", "gone"])
def test_messages_that_nobody_takes_stop_nothing(where, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    stderr = open("/dev/full", "wb") if where == "full" else writer
    for args in (HELLO, ["quantize", TINY, "--method", "Q4_0", "--output", "x.gguf", "--verbose"]):
        process = start(args, stderr=stderr, cwd=tmp_path)
        assert process.communicate(timeout=60)[0] and process.returncode == 0
    assert (tmp_path / "x.gguf").exists()
    os.close(writer)


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_an_answer_with_its_status(talker, name, tmp_path):
    number = getattr(signal, name)
    process = start(["run", talker, "--prompt", "Talk", "--temperature", "0", "--max-tokens",
                     "1000000", "--ctx", "500000", "--stats", tmp_path / "stats.json"])
    begun = process.stdout.read(64)
    process.send_signal(number)
    rest, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + number, stderr
    assert set((begun + rest).decode()) == set("YZ\n") and rest.endswith(b"\n")
    assert b"tokens/s" in stderr  # the figures all the same
    assert json.loads((tmp_path / "stats.json").read_text())["generated_tokens"] > 0
    assert errors_of(stderr.decode()) == ["error: stopped"]


@pytest.mark.parametrize("args", [["validate", TINY, "--ctx", "64"],
                                  ["run", TINY, "--raw"], ["tokenize", TINY, "--file", "-"],
                                  ["validate", TINY, "--text", "-"]])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_work_and_waiting(args, name):
    """Standard input is a pipe to which nothing comes."""
    number = getattr(signal, name)
    process = start([*args, "--verbose"], stdin=subprocess.PIPE)
    time.sleep(0.3)
    process.send_signal(number)
    process.wait(timeout=20)
    assert process.returncode == 128 + number
    [error] = errors_of(process.communicate()[1].decode())
    assert error.startswith("error: stopped")


def test_ctrl_c_at_any_time_of_a_judgement(tmp_path):
    """Text, questions, programs in their sandbox: what was answered is kept, and nothing else left."""
    def judge(folder):
        folder.mkdir(exist_ok=True)
        return ["validate", TINY, "--metrics", "perplexity,mmlu,humaneval", "--ctx", "64", "--chunks",
                "8", "--subjects", "anatomy,virology", "--limit", "2", "--max-tokens", "8", "--texts",
                "chat,code", "--save-reference", folder / "kept", "--save", folder / "answers.json"]

    begun = time.monotonic()
    pajamas.run(*judge(tmp_path / "whole"))
    seconds = time.monotonic() - begun
    whole = (tmp_path / "whole/answers.json").read_text()
    stopped = 0
    for i in range(10):  # spread over the time that the whole takes
        folder = tmp_path / f"at-{i}"
        process = start(judge(folder))
        time.sleep(seconds * i / 10)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=20)[1].decode()
        left = {file.name for file in folder.iterdir()}
        if process.returncode == 0:
            continue
        stopped += 1
        # Before main() has begun the signal ends it as it ends any program.
        assert process.returncode == 130 or (i == 0 and process.returncode == -signal.SIGINT), stderr
        assert left <= {"kept", "answers.json.partial"}, left
        if process.returncode == 130:
            [error] = errors_of(stderr)
            assert error.startswith("error: stopped")
        if "answers.json.partial" in left:
            (folder / "kept").unlink(missing_ok=True)
            pajamas.run(*judge(folder))
            assert (folder / "answers.json").read_text() == whole
    assert stopped >= 5


def test_json_says_the_status_of_the_signal():
    process = start(["run", TINY, "--raw", "--json"], stdin=subprocess.PIPE)
    time.sleep(0.3)
    process.terminate()
    process.wait(timeout=20)
    last = json.loads(process.communicate()[1].splitlines()[-1])
    assert last["code"] == "interrupted" and last["status"] == 143 == process.returncode


def test_nohup_is_heeded(talker):
    process = subprocess.Popen(
        [pajamas.BINARY, "run", talker, "--prompt", "Talk", "--temperature", "0", "--max-tokens",
         "1000000", "--ctx", "500000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL, preexec_fn=lambda: [signal.signal(signal.SIGHUP, signal.SIG_IGN),
                                                      signal.signal(signal.SIGINT, signal.SIG_DFL)])
    process.stdout.read(64)
    process.send_signal(signal.SIGHUP)
    assert len(process.stdout.read(1 << 12)) == 1 << 12
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


# --- limits, links, existing files ----------------------------------------------------------------


@pytest.mark.parametrize("formats,method", [("gguf", "Q8_0"), ("mlx", "8bit"),
                                            ("gguf,mlx", "Q8_0:8bit")])
def test_a_limit_on_the_size_of_files(tmp_path, formats, method):
    limit = 100_000
    done = pajamas.quantize(TINY, formats, method, tmp_path / "out", check=False,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                  (limit, limit)))
    [error] = errors_of(done.stderr)
    assert done.returncode == 7 and "ulimit -f" in error, done
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_limit_on_what_is_printed(tmp_path):
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run([pajamas.BINARY, *PRINTING["plan-json"]], stdout=out,
                              stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_FSIZE, (1000, 1000)))
    assert done.returncode == 8 and len(errors_of(done.stderr.decode())) == 1, done


OUTPUTS = {
    "stats": [*HELLO, "--stats"],
    "raw-f32": ["inspect", TINY, "--tensor", "model.norm.weight", "--raw-f32"],
    "dump-logits": ["validate", TINY, "--ctx", "32", "--chunks", "1", "--dump-logits"],
    "quantize": ["quantize", TINY, "--method", "Q4_0", "--output"],
    "benchmark": [*PRINTING["benchmark"], "--json", "--output"],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_files_are_replaced_with_force_alone(name, tmp_path):
    path, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to("real")
    path.write_text("precious")
    for target in (path, link):
        began = time.monotonic()
        line = fails(*OUTPUTS[name], target, status=6)
        assert "exists already" in line and "--force" in line and time.monotonic() - began < 5
        assert path.read_text() == "precious"
    pajamas.run(*OUTPUTS[name], link, "--force")
    assert link.is_symlink() and b"precious" not in path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


@pytest.mark.parametrize("args", [["quantize", TINY, "--format", "mlx", "--method", "4bit",
                                   "--output"], ["tokenize", TINY, "--export"]])
def test_folders_are_replaced_with_force_alone(args, tmp_path):
    path, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to("real")
    pajamas.run(*args, path)
    (path / "more").write_text("")
    for target in (path, link):
        assert "--force" in fails(*args, target, status=6)
    pajamas.run(*args, link, "--force")
    assert link.is_symlink() and not (path / "more").exists()
    (path / "config.json").unlink(missing_ok=True)
    (path / "tokenizer_config.json").unlink()
    assert "holds no model" in fails(*args, path, "--force", status=6)


def test_a_link_to_a_device_is_refused(tmp_path):
    def link(path):  # without the time of its last reading, which following it may set
        status = os.lstat(path)
        return status.st_dev, status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns

    (tmp_path / "link").symlink_to("/dev/null")
    for path in (tmp_path / "link", "/dev/stdout"):
        before = link(path)
        for flags in ([], ["--force"]):
            fails(*HELLO, "--stats", path, *flags, status=6)
        assert link(path) == before


# --- models and texts by other names --------------------------------------------------------------


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "out"
    pajamas.quantize(TINY, "gguf,mlx", "Q4_K_M:4bit", path)
    return path


@pytest.mark.parametrize("args", [["run", "MODEL", "--raw", "--prompt", "a", "--max-tokens", "2"],
                                  ["validate", "MODEL", "--ctx", "32", "--chunks", "1"],
                                  ["validate", TINY, "--ctx", "32", "--chunks", "1", "--metrics",
                                   "kl", "--reference", "MODEL"],
                                  ["inspect", "MODEL"], ["tokenize", "MODEL", "--text", "a"],
                                  ["plan", "MODEL", "--method", "Q2_K", "--allow-requantize"],
                                  ["quantize", "MODEL", "--method", "Q2_K", "--allow-requantize",
                                   "--dry-run", "--output", "NOWHERE"]])
def test_a_folder_means_the_only_model_in_it(out, args, tmp_path):
    def of(path):
        return [{"MODEL": str(path), "NOWHERE": str(tmp_path / "x")}.get(a, a) for a in args]

    gguf_file = out / "gguf/model-q4_k_m.gguf"
    alone = tmp_path / "alone"
    (alone / "gguf").mkdir(parents=True)
    shutil.copy(gguf_file, alone / "gguf")
    plain = pajamas.run(*of(gguf_file))
    for folder in (out / "gguf", alone):
        done = pajamas.run(*of(folder))
        assert done.stdout.splitlines()[:3] == plain.stdout.splitlines()[:3]
        assert f"note: the model in {folder} is" in done.stderr
    line = fails(*of(out), status=2)
    assert str(gguf_file) in line and str(out / "mlx/model-4bit") in line


def test_a_folder_is_looked_into_once(tmp_path):
    holder = tmp_path / "holder"
    holder.mkdir()
    (holder / "model").symlink_to(pajamas.TINY)
    done = pajamas.run("quantize", holder, "--preset", "ultra", "--output", tmp_path / "out")
    assert done.stderr.count("the model in") == 1


def test_the_mlx_folder_of_an_output(out):
    assert pajamas.run("inspect", out / "mlx").stdout.startswith("MLX model")


def test_texts_come_from_streams_too(tmp_path):
    text = pajamas.HELDOUT.read_bytes()[:3000]
    file = tmp_path / "text"
    file.write_bytes(text)
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    lines = tmp_path / "lines"
    lines.write_text('"a b"\n"c"\n')
    for args, source in ((["tokenize", TINY, "--file"], file), (["tokenize", TINY, "--jsonl"], lines),
                         (["tokenize", TINY, "--chat"], chat),
                         (["validate", TINY, "--ctx", "64", "--chunks", "1", "--text"], file)):
        wanted = pajamas.run(*args, source).stdout
        for name in ("-", "/dev/stdin"):
            with open(source, "rb") as opened:
                assert pajamas.run(*args, name, stdin=opened).stdout == wanted
            got = subprocess.run([pajamas.BINARY, *args, name], input=source.read_bytes(),
                                 capture_output=True)  # a pipe
            assert got.stdout.decode() == wanted, got.stderr
        command = f'"$0" {" ".join(args)} <(cat {source})'
        assert subprocess.run(["bash", "-c", command, pajamas.BINARY],
                              capture_output=True).stdout.decode() == wanted
    config = ["plan", "--method", "Q4_K_M", "--json", "--config"]
    with open(pajamas.TINY / "config.json", "rb") as opened:
        piped = pajamas.run_json(*config, "-", stdin=opened)
    whole = pajamas.run_json(*config, pajamas.TINY / "config.json")
    assert [o["tensors"] for o in piped["outputs"]] == [o["tensors"] for o in whole["outputs"]]
    assert "standard input" in fails("tokenize", TINY, "--chat", "-", status=2)


def test_names_that_are_not_utf8(tmp_path):
    """In paths, and in the name that a GGUF file gives itself: GGUF and JSON hold UTF-8."""
    source = os.path.join(os.fsencode(tmp_path), b"mod\xffel")
    shutil.copytree(TINY, os.fsdecode(source))
    run = lambda *args: subprocess.run([pajamas.BINARY, *args], capture_output=True, timeout=60)
    plan = run(b"plan", source, b"--method", b"Q4_0", b"--json", b"--output", source + b"/x")
    assert "mod\ufffdel" in json.loads(plan.stdout.decode())["outputs"][0]["path"], plan.stderr
    path = tmp_path / "a.gguf"
    done = run(b"quantize", source, b"--method", b"Q4_0", b"--output", str(path))
    assert done.returncode == 0, done.stderr

    def name_of(file):
        return gguf.GGUFReader(file).fields["general.name"].contents()

    name = name_of(path)
    assert "\ufffd" in name
    data = path.read_bytes()
    path.write_bytes(data.replace(name.encode(), b"\xff" * len(name.encode())))
    again = tmp_path / "b.gguf"
    pajamas.quantize(path, "gguf", "Q4_0", again, "--allow-requantize")
    assert set(name_of(again)) == {"\ufffd"}
    pajamas.quantize(path, "mlx", "4bit", tmp_path / "mlx", "--allow-requantize")
    for file in (tmp_path / "mlx").glob("*.json"):
        json.loads(file.read_text())
    done = run(b"quantize", TINY, b"--method", b"Q4_0", b"--output", os.fsencode(again))
    assert done.returncode == 6


def test_the_home_of_the_account(tmp_path):
    import pwd
    home = pwd.getpwuid(os.getuid()).pw_dir
    env = {k: v for k, v in os.environ.items()
           if k not in ("HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE")
           and not k.startswith(("HUGGINGFACE", "LLAMA_PAJAMAS"))}
    done = subprocess.run([pajamas.BINARY, "doctor", "--no-measure", "--json"], env=env,
                          capture_output=True, cwd=tmp_path)
    settings = json.loads(done.stdout)["settings"]
    assert f"{home}/.cache/huggingface/hub" in json.dumps(settings)


# --- what errors say ------------------------------------------------------------------------------


@pytest.mark.parametrize("option,value", [("--seed", "-1"), ("--seed", "18446744073709551616"),
                                          ("--seed", "1.5"), ("--seed", "x"), ("--top-k", "1e30"),
                                          ("--max-tokens", "99999999999999999999"),
                                          ("--ctx", ""), ("--threads", "1e3"), ("--top-k", "-1"),
                                          ("--threads", "3000000000")])
def test_numbers_that_do_not_fit(option, value):
    line = fails(*HELLO, f"{option}={value}", status=2)
    assert option in line and value in line, line


def test_the_largest_seed():
    pajamas.run(*HELLO, "--seed", (1 << 64) - 1)


JSON_FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize("cut,said", [(lambda t: t[:len(t) // 2], "line "),
                                      (lambda t: t.replace(b",", b";", 1), "expected '}'"),
                                      (lambda t: t.replace(b":", b": \xff", 1), "column"),
                                      (lambda t: b"", "line 1, column 1: unexpected end")])
def test_broken_json_has_a_place(name, cut, said, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    path = folder / name
    path.write_bytes(cut(path.read_bytes()))
    line = fails("run", folder, "--prompt", "Hi", "--max-tokens", "1", status=4)
    assert str(path) in line and said in line and re.search(r"line \d+, column \d+: ", line), line
    assert "syntax error while" not in line and "json.exception" not in line


ODD = [None, True, -1, 1e300, 10**30, "x", "", [], [[]], {}, {"x": []}, [None], ["x"]]


@pytest.mark.parametrize("name", [*JSON_FILES[:1], *JSON_FILES[2:]])
def test_json_of_other_kinds_is_no_bug(name, tmp_path):
    """Every value of every file, replaced by one of another kind."""
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    path = folder / name
    whole = json.loads(path.read_text())
    for number, key in enumerate(whole):
        value = ODD[(number * 5) % len(ODD)]
        path.write_text(json.dumps(whole | {key: value}))
        done = pajamas.run("run", folder, "--prompt", "Hi", "--max-tokens", "1", check=False)
        assert 0 <= done.returncode < 10, (key, value, done)
        assert "exception" not in done.stderr, (key, value, done.stderr)


@functools.cache
def options_of(command):
    return set(re.findall(r"--[a-z][a-z0-9-]+", pajamas.run(command, "--help").stdout))


def test_errors_name_options_that_there_are(tmp_path, out):
    """Whatever option an error advises is one of the command that was called."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "x").write_text("")
    cases = [
        [*HELLO, "--stats", there / "x"], [*HELLO, "--stats", there, "--force"],
        ["inspect", TINY, "--tensor", "model.norm.weight", "--raw-f32", there / "x"],
        ["inspect", TINY, "--tensor", "model.norm.weigh"],
        ["tokenize", TINY, "--export", there], ["tokenize", TINY, "--export", there, "--force"],
        ["tokenize", TINY, "--export", there / "x", "--force"], ["tokenize", TINY],
        ["quantize", TINY, "--method", "Q4_0", "--output", there / "x"],
        ["quantize", TINY, "--method", "Q4_0", "--output", there],
        ["quantize", TINY, "--method", "4bit", "--format", "mlx", "--output", there, "--force"],
        ["quantize", TINY, "--method", "Q4_9", "--output", tmp_path / "y"],
        ["quantize", out / "gguf", "--method", "Q4_0", "--output", tmp_path / "y"],
        ["quantize", TINY, "--method", "Q4_0", "--output", tmp_path / "y", "--tensor-type", "zz=F16"],
        ["quantize", TINY, "--method", "Q4_0", "--output", tmp_path / "y", "--output-bits", "4"],
        ["plan", TINY, "--config", TINY + "/config.json", "--method", "Q4_0"],
        ["run", TINY, "--raw", "--prompt", "a " * 600, "--ctx", "8"],
        ["run", TINY, "--raw", "--prompt", ""], ["run", TINY, "--prompt", "a", "--kv-cache", "q9"],
        ["run", TINY, "--prompt", "a", "--ctx", str(1 << 30)],
        ["validate", TINY, "--text", there / "x"], ["validate", TINY, "--metrics", "kl"],
        ["run", there, "--prompt", "a"], ["run", tmp_path / "none", "--prompt", "a"],
    ]
    for args in cases:
        line = fails(*args)
        for part in (line.split(";", 1) + [""])[1:]:
            advised = set(re.findall(r"--[a-z][a-z0-9-]+", re.sub(r"`[^`]*`", "", part)))
            assert advised <= options_of(args[0]), (args, line)
