"""`validate --metrics humaneval`: given and written programs, and figures made again in Python."""

import gzip
import itertools
import json
import math
import pathlib
import signal
import subprocess
import time

import pajamas
import pytest

DATA = pajamas.ROOT / "models/eval/HumanEval.jsonl.gz"


@pytest.fixture(scope="module")
def problems():
    return [json.loads(line) for line in gzip.open(DATA)]


def write(path, entries):
    path.write_text("".join(json.dumps({"task_id": t, "completion": c}) + "\n" for t, c in entries))
    return path


def judged(completions, *flags):
    return pajamas.run_json("validate", "--metrics", "humaneval", "--completions", completions,
                            "--json", *flags, timeout=600)["humaneval"]


def test_canonical_solutions_pass_and_broken_ones_do_not(problems, scratch):
    good = write(scratch / "good.jsonl", [(p["task_id"], p["canonical_solution"]) for p in problems])
    assert judged(good) == {"pass_at_1": 1.0, "passed": 164, "problems": 164}
    some = problems[:12]
    for body in ("    return 'no'\n", "    return (\n", "    import sys; sys.exit(0)\n",
                 "    import os; os._exit(0)\n", "    raise SystemExit\n"):
        bad = write(scratch / "bad.jsonl", [(p["task_id"], body) for p in some])
        assert judged(bad) == {"pass_at_1": 0.0, "passed": 0, "problems": 12}, body


def test_pass_at_k_is_the_mean_over_all_subsets(problems, scratch):
    right = {0: 3, 1: 0, 2: 5, 3: 1}
    lines = [(problems[i]["task_id"], problems[i]["canonical_solution"] if s < n else "    return\n")
             for i, n in right.items() for s in range(5)]
    kept = scratch / "kept.json"
    figures = judged(write(scratch / "samples.jsonl", lines), "--save", kept)
    saved = json.loads(kept.read_text())["humaneval"]["completions"]
    passed = {i: [s["passed"] for s in saved if s["task_id"] == problems[i]["task_id"]] for i in right}
    assert {i: sum(p) for i, p in passed.items()} == right
    for k, share in figures["pass_at_k"].items():
        sets = [[any(c) for c in itertools.combinations(p, int(k))] for p in passed.values()]
        assert share == pytest.approx(sum(sum(s) / len(s) for s in sets) / len(sets))
        assert all(len(s) == math.comb(5, int(k)) for s in sets)
    assert set(figures["pass_at_k"]) == {"1", "5"}
    assert (figures["passed"], figures["problems"], figures["samples"]) == (3, 4, 5)
    assert figures["pass_at_1"] == figures["pass_at_k"]["1"]


def test_a_model_is_asked_and_a_stopped_run_goes_on(problems, scratch):
    flags = ["validate", pajamas.TINY, "--metrics", "humaneval", "--limit", 2, "--max-tokens", 24,
             "--samples", 2, "--json"]
    first = scratch / "first.json"
    figures = pajamas.run_json(*flags, "--save", first)["humaneval"]
    assert (figures["problems"], figures["samples"]) == (2, 2)
    entries = json.loads(first.read_text())["humaneval"]["completions"]
    assert [(e["task_id"], e["sample"]) for e in entries] == [
        (f"HumanEval/{i}", s) for i in range(2) for s in range(2)]
    # One sample of what a stopped run left is another text: it is taken, not asked again.
    again = scratch / "again.json"
    pajamas.run(*flags, "--save", again)
    assert json.loads(again.read_text()) == json.loads(first.read_text())
    greedy = pajamas.run("validate", pajamas.TINY, "--metrics", "humaneval", "--limit", 1,
                         "--max-tokens", 12, "--save", scratch / "greedy.json")
    assert "of 1 problems" in greedy.stdout
    text = json.loads((scratch / "greedy.json").read_text())["humaneval"]["completions"][0]
    answer = pajamas.run("run", pajamas.TINY, "--raw", "--temperature", 0, "--max-tokens", 12,
                         "--prompt", problems[0]["prompt"]).stdout
    assert answer.startswith(text["completion"].rstrip("\n"))


def test_a_killed_run_goes_on(problems, scratch):
    flags = ["validate", pajamas.TINY, "--metrics", "humaneval", "--limit", 3, "--max-tokens", 64,
             "--samples", 3, "--threads", 1, "--save"]
    whole, killed = scratch / "whole.json", scratch / "killed.json"
    pajamas.run(*flags, whole)
    partial = pathlib.Path(f"{killed}.partial")
    process = subprocess.Popen([str(a) for a in (pajamas.BINARY, *flags, killed)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 2):
        assert process.poll() is None
        time.sleep(.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    again = pajamas.run(*flags, killed)
    assert "completions are there already" in again.stderr and not partial.exists()
    assert json.loads(killed.read_text()) == json.loads(whole.read_text())


def test_what_cannot_be_is_refused(problems, scratch):
    good = write(scratch / "one.jsonl", [(problems[0]["task_id"], problems[0]["canonical_solution"])])

    def refused(status, *flags, **options):
        done = pajamas.run("validate", *flags, check=False, **options)
        assert done.returncode == status and done.stderr.count("error:") == 1, done.stderr
        return done.stderr

    human = ["--metrics", "humaneval"]
    assert "MODEL is missing" in refused(2, *human)
    assert "apt install bubblewrap" in refused(5, *human, "--completions", good,
                                               env={"PATH": str(scratch)})
    assert "line 1" in refused(4, *human, "--completions", write(scratch / "x", [("a/0", "")]))
    assert "humaneval" in refused(2, pajamas.TINY, "--samples", 3)
    refused(2, *human, "--completions", good, "--samples", 3)
    assert refused(3, *human, "--completions", good, "--data", "/nope").count("/nope") == 1
    refused(2, pajamas.TINY, "--metrics", "mmlu,humaneval", "--data", DATA)
    cut = scratch / "cut.jsonl.gz"
    cut.write_bytes(DATA.read_bytes()[:20000])
    assert "cut" in refused(4, *human, "--completions", good, "--data", cut)
    done = pajamas.run("validate", *human, "--completions", good, "--unsafe-execution", "--gate",
                       "humaneval<50%", check=False)
    assert done.returncode == 12 and "of 1 problems, 1 passed" in done.stdout
