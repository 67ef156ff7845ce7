"""Nothing lost, nothing half-written: existing outputs, kill -9, full disks, interruptions."""

import hashlib
import os
import random
import re
import resource
import signal
import subprocess
import time

import gguf
import pajamas
import peers
import pytest
from effort import THOROUGH

PARTIAL = re.compile(r"^\..+\.partial-\d+")


def digest(folder):
    """The names, sizes, times and bytes of a folder."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        hasher.update(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode())
        if path.is_file():
            hasher.update(path.read_bytes())
    return hasher.hexdigest()


def error_of(done):
    assert 0 < done.returncode < 128, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def visible(folder):
    """What looks finished."""
    return [p for p in folder.rglob("*") if p.is_file()
            and not any(PARTIAL.match(part) for part in p.relative_to(folder).parts)]


@pytest.mark.parametrize("formats,method,name", [("gguf", "Q4_0", "out.gguf"),
                                                 ("mlx", "4bit", "out-mlx"),
                                                 ("fp8", "fp8", "out-fp8"),
                                                 ("gguf,mlx", "Q4_0:4bit", "out-both")])
def test_an_existing_output_is_refused_without_force(tmp_path, formats, method, name):
    path = tmp_path / name
    pajamas.quantize(pajamas.TINY, formats, method, path)
    before = digest(tmp_path)
    done = pajamas.quantize(pajamas.TINY, formats, method, path, check=False)
    assert "exists" in error_of(done) and "--force" in done.stderr
    assert digest(tmp_path) == before
    pajamas.quantize(pajamas.TINY, formats, method, path, "--force")
    assert digest(tmp_path) != before  # written anew, times differ
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


def test_a_foreign_file_in_the_way_is_refused(tmp_path):
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    error_of(pajamas.quantize(pajamas.TINY, "gguf", "Q4_0", path, check=False))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("formats,method", [("gguf", "Q4_0"), ("mlx", "4bit"),
                                            ("fp8", "fp8")])
def test_the_input_is_never_the_output(tmp_path, formats, method):
    import shutil
    source = tmp_path / "model"
    shutil.copytree(pajamas.TINY, source)
    before = digest(source)
    for target in (source, source / "model.safetensors"):
        for flags in ([], ["--force"]):
            done = pajamas.quantize(source, formats, method, target, *flags, check=False)
            error_of(done)
            assert digest(source) == before


def test_dry_run_writes_nothing(tmp_path):
    args = (pajamas.TINY, "gguf,mlx", "Q4_0:4bit", tmp_path / "x", "--dry-run")
    assert "bits per weight" in pajamas.quantize(*args).stdout
    done = pajamas.quantize(*args, "--all")
    assert "blk.0.attn_q.weight" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="session")
def middle(make_checkpoint):
    """60 M weights: seconds of work."""
    return make_checkpoint("middle", "--shard-size", "50000000", hidden_size=1024,
                           intermediate_size=4096, num_attention_heads=16, num_key_value_heads=4,
                           num_hidden_layers=4)


def command(source, path, *flags):
    return [str(pajamas.BINARY), "quantize", str(source), "--format", "gguf,mlx,fp8", "--method",
            "Q4_K_M:4bit", "--output", str(path), *flags]


def start(source, path, *flags):
    """With the signals of a terminal, whatever the tests were started by (nohup ignores one)."""
    return subprocess.Popen(command(source, path, *flags), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, preexec_fn=lambda: [
                                signal.signal(s, signal.SIG_DFL)
                                for s in (signal.SIGINT, signal.SIGHUP)])


@pytest.fixture(scope="session")
def whole(middle, scratch):
    """A finished run: how long it takes and what it writes."""
    path = scratch / "whole"
    started = time.monotonic()
    subprocess.run(command(middle, path), check=True, stderr=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    return path, time.monotonic() - started


def contents(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in visible(folder)}


def test_kill_at_any_moment(middle, whole, tmp_path):
    """Either nothing that looks finished is there, or something that is."""
    finished, seconds = whole
    before, want = digest(middle), contents(finished)
    rng = random.Random(20)
    interrupted, attempts = 0, 20 if THOROUGH else 8
    for attempt in range(attempts):
        path = tmp_path / f"out-{attempt}"
        process = start(middle, path)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        if process.returncode == 0:  # what ran beside the measured run made that slower
            seconds *= 0.8
        if path.exists():
            got = contents(path)
            assert all(want[name] == value for name, value in got.items()), attempt
            for form in ("mlx/", "fp8/"):
                files = [n for n in got if n.startswith(form)]
                assert not files or len(files) == len([n for n in want if n.startswith(form)])
        others = [p for p in tmp_path.iterdir() if p != path and not PARTIAL.match(p.name)
                  and not p.name.startswith("out-")]
        assert not others
    assert interrupted >= attempts // 2
    assert digest(middle) == before
    path = tmp_path / "out-again"
    subprocess.run(command(middle, path), check=True, capture_output=True)
    assert contents(path) == want


def test_kill_while_replacing_keeps_a_whole_output(middle, whole, tmp_path):
    finished, seconds = whole
    want = contents(finished)
    path = tmp_path / "out"
    subprocess.run(command(middle, path), check=True, capture_output=True)
    rng = random.Random(5)
    for _ in range(5 if THOROUGH else 3):
        process = start(middle, path, "--force")
        time.sleep(seconds * rng.uniform(0.5, 1.05))
        process.kill()
        process.communicate()
        assert contents(path) == want


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_cleans_up(middle, whole, tmp_path, number):
    before = digest(middle)
    process = start(middle, tmp_path / "out")
    while process.poll() is None and not any(PARTIAL.match(p.name) for p in tmp_path.rglob("*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + number, stderr
    assert not [p for p in tmp_path.rglob("*") if p.is_file()], stderr
    assert digest(middle) == before


def test_memory_has_a_bound(middle, tmp_path):
    """120 MB of weights within 160 MiB of writable memory, code and stacks included."""
    limit = 160 << 20
    done = subprocess.run(command(middle, tmp_path / "out", "--threads", "2"), capture_output=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA,
                                                                (limit, limit)))
    assert done.returncode == 0, done.stderr.decode()[-500:]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: small_disk(bytes) mounts it."""
    mounted = []

    def mount(size):
        folder = tmp_path / "disk"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                              capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small disk here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size,formats,method,flags", [
    (2 << 20, "gguf", "Q8_0", ()), (2 << 20, "mlx", "8bit", ()), (2 << 20, "fp8", "fp8", ()),
    (2 << 20, "gguf", "Q8_0", ("--split-size", "1MB")), (6 << 20, "gguf,mlx", "Q8_0:8bit", ())])
def test_a_full_disk(small_disk, size, formats, method, flags):
    """The last one has room for one of two outputs."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = small_disk(size)
    done = pajamas.quantize(pajamas.TINY, formats, method, folder / "out", *flags, check=False)
    assert "space" in error_of(done)
    assert not [p for p in folder.rglob("*") if p.is_file()]


def test_a_disk_that_fills_up_meanwhile(small_disk, middle, whole):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    size = sum(p.stat().st_size for p in visible(whole[0]))
    folder = small_disk(size + (8 << 20))
    process = start(middle, folder / "out")
    with open(folder / "filler", "wb") as filler:
        try:
            while process.poll() is None:
                filler.write(bytes(1 << 20))
                filler.flush()
        except OSError:
            pass
    _, stderr = process.communicate(timeout=60)
    if process.returncode == 0:  # it had reserved its space first
        assert contents(folder / "out") == contents(whole[0])
    else:  # what is left, if anything, is complete
        assert b"space" in stderr and 0 < process.returncode < 128
        assert not [p for p in folder.rglob("*") if PARTIAL.match(p.name)]
        left = contents(folder / "out") if (folder / "out").exists() else {}
        assert left.items() <= contents(whole[0]).items()


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = pajamas.quantize(pajamas.TINY, "gguf", "Q4_0", tmp_path / "file" / "out.gguf",
                            check=False)
    error_of(done)


def test_what_was_replaced_is_usable(tmp_path):
    path = tmp_path / "out.gguf"
    pajamas.quantize(pajamas.TINY, "gguf", "Q8_0", path)
    pajamas.quantize(pajamas.TINY, "gguf", "Q4_0", path, "--force")
    types = {t.tensor_type.name for t in gguf.GGUFReader(path).tensors}
    assert "Q4_0" in types and "Q8_0" not in types
    with peers.llama_model(path):
        pass
