"""`validate --memory-budget`: the same figures in little memory, and what happens without enough."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pajamas
import pytest

TEXT = ["--ctx", "128", "--chunks", "5"]


def validate(*args, check=True, **options):
    return pajamas.run("validate", *args, *TEXT, check=check, timeout=300, **options)


def least_budget(*args):
    done = validate(*args, "--memory-budget", "1MB", check=False)
    assert done.returncode == 9 and "--memory-budget" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return re.search(r"give at least ([\d.]+ \w+)", done.stderr)[1].replace(" ", "")


@pytest.mark.parametrize("model", [pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS],
                         ids=lambda path: path.name)
def test_figures_are_the_same(model, tmp_path):
    """Of a pass of its own, beside another model, beside what was kept of it, and what is kept."""
    scratch = {"TMPDIR": str(tmp_path)}
    cases = [[model, "--save-reference", tmp_path / "kept"],
             [model, "--metrics", "perplexity,kl", "--reference", model, "--kv-cache", "q4_0"],
             [model, "--metrics", "kl", "--reference", tmp_path / "kept", "--kv-cache", "q8_0"]]
    for case in cases:
        plain = validate(*case, "--json").stdout
        assert json.loads(plain)["chunks"] == 5
        kept = (tmp_path / "kept").read_bytes()
        more = ["--force"] if "--save-reference" in case else []
        budget = least_budget(*case, *more)
        layered = validate(*case, *more, "--memory-budget", budget, "--json", env=scratch)
        assert layered.stdout == plain
        assert (tmp_path / "kept").read_bytes() == kept
        assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_bad_budgets(tmp_path):
    for flags, status, part in (
            (["--memory-budget", "much"], 2, "--memory-budget"),
            (["--memory-budget", "1GB", "--metrics", "mmlu"], 2, "perplexity and kl"),
            (["--memory-budget", "20MB", "--save-reference", tmp_path / "r"], 9, "give at least")):
        done = pajamas.run("validate", pajamas.TINY, *flags, check=False)
        assert done.returncode == status, done.stderr
        assert part in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def long_text(tmp_path_factory):
    """What waits of it exceeds what is left of the least budget."""
    path = tmp_path_factory.mktemp("long") / "text.txt"
    path.write_bytes(pajamas.HELDOUT.read_bytes() * 16)
    return path


def test_a_scratch_folder_that_is_not_there(tmp_path):
    done = pajamas.run("validate", pajamas.TINY, "--memory-budget", "1GB", "--save-reference",
                       tmp_path / "kept", check=False, env={"TMPDIR": str(tmp_path / "gone")})
    assert done.returncode == 3, done.stderr
    assert "gone is no folder" in done.stderr and "TMPDIR" in done.stderr
    assert not list(tmp_path.iterdir())


def test_interrupted_it_leaves_nothing(long_text, tmp_path):
    child = subprocess.Popen(
        [pajamas.BINARY, "validate", pajamas.TINY, "--text", long_text, "--memory-budget",
         least_budget(pajamas.TINY), "--save-reference", tmp_path / "kept"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)})

    def waits_on_disk():
        folder = pathlib.Path(f"/proc/{child.pid}/fd")
        return any(os.readlink(fd).startswith(f"{tmp_path}/#") for fd in folder.iterdir())

    for _ in range(3000):
        with contextlib.suppress(OSError):
            if waits_on_disk():
                break
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    assert not list(tmp_path.iterdir())
