"""Caches of every type, as a user meets them: `run`, `validate` and `plan`."""

import json

import numpy as np
import pajamas
import peers
import pytest

BYTES_PER_ROW = {"f32": 256, "f16": 128, "bf16": 128, "q8_0": 68, "q4_0": 36, "q3_0": 28}  # of 64
ROWS_PER_TOKEN = 4 * 2 * 2  # layers, heads, key and value


@pytest.mark.parametrize("kind, most", [("f16", 1e-6), ("bf16", 1e-5), ("q8_0", 1e-4), ("q4_0", 6e-3),
                                        ("q3_0", 3e-2)])
def test_validate_says_what_a_cache_costs(kind, most):
    flags = ("validate", pajamas.TINY, "--ctx", 256, "--chunks", 4, "--json")
    plain, narrow = pajamas.run_json(*flags), pajamas.run_json(*flags, "--kv-cache", kind)
    assert plain["kv_cache"] == "f32" and "kv_cache_kl_mean" not in plain
    assert narrow["kv_cache"] == kind
    assert narrow["kv_cache_bytes_per_token"] == ROWS_PER_TOKEN * BYTES_PER_ROW[kind]
    assert narrow["kv_cache_bytes"] == 256 * narrow["kv_cache_bytes_per_token"]
    assert narrow["kv_cache_perplexity_f32"] == plain["perplexity"]
    assert 0 < narrow["kv_cache_kl_mean"] < most
    loss = (narrow["perplexity"] / plain["perplexity"] - 1) * 100
    assert narrow["kv_cache_loss_percent"] == pytest.approx(loss, abs=1e-9)
    assert "kl_mean" not in narrow  # that is against a --reference


def test_what_a_cache_costs_is_that_of_its_logits(tmp_path):
    ctx, vocab = 128, 2048
    p, q = (peers.log_softmax(pajamas.logits(pajamas.TINY, pajamas.HELDOUT, ctx, vocab, tmp_path,
                                             "--chunks", 2, "--kv-cache", kind))
            for kind in ("f32", "q4_0"))
    rows = np.concatenate([np.arange(i * ctx + ctx // 2, (i + 1) * ctx - 1) for i in range(2)])
    p, q = p[rows], q[rows]
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    ours = pajamas.run_json("validate", pajamas.TINY, "--text", pajamas.HELDOUT, "--ctx", ctx,
                            "--chunks", 2, "--kv-cache", "q4_0", "--metrics", "perplexity", "--json")
    assert ours["kv_cache_kl_mean"] == pytest.approx(kl.mean(), rel=1e-2)
    assert ours["kv_cache_kl_stderr"] == pytest.approx(kl.std() / (len(kl) - 1) ** .5, rel=1e-2)
    assert ours["kv_cache_kl_p99"] == pytest.approx(np.quantile(kl, .99), rel=1e-2)
    assert ours["kv_cache_top1"] == pytest.approx((p.argmax(1) == q.argmax(1)).mean())


def test_a_reference_keeps_its_own_figures(models):
    flags = ("validate", models.gguf("Q4_K_M"), "--reference", pajamas.TINY, "--ctx", 256, "--chunks", 4,
             "--metrics", "perplexity,kl", "--json")
    plain, narrow = pajamas.run_json(*flags), pajamas.run_json(*flags, "--kv-cache", "q3_0")
    assert narrow["reference_perplexity"] == plain["reference_perplexity"]
    assert narrow["kl_mean"] > plain["kl_mean"]  # the cache's loss on top of the weights'
    assert narrow["kv_cache_perplexity_f32"] == plain["perplexity"]


def test_run_reports_its_cache(scratch):
    path = scratch / "stats.json"
    done = pajamas.run("run", pajamas.TINY, "--raw", "--prompt", "The people", "--max-tokens", 8,
                       "--ctx", 300, "--kv-cache", "q4_0", "--stats", path, "--force")
    stats = json.loads(path.read_text())
    assert stats["kv_cache"] == "q4_0"
    assert stats["kv_cache_bytes"] == 3 * 128 * ROWS_PER_TOKEN * 36  # in blocks of 128 positions
    assert "KV cache: q4_0, " in done.stderr


def test_plan_sizes_every_cache():
    plan = pajamas.run_json("plan", pajamas.TINY, "--method", "Q4_K_M", "--json", "--ctx", 512)
    assert plan["kv_cache"] == {
        "context": 512,
        "bytes": {kind: 512 * ROWS_PER_TOKEN * row for kind, row in BYTES_PER_ROW.items()}}
    assert "KV cache for 512 tokens: f32 2.1 MB" in pajamas.run(
        "plan", pajamas.TINY, "--method", "Q4_K_M").stdout


@pytest.mark.parametrize("command", [("run", pajamas.TINY, "--prompt", "x"), ("validate", pajamas.TINY)])
def test_unknown_types_are_refused_in_one_line(command):
    done = pajamas.run(*command, "--kv-cache", "q5_0", check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "f32, f16, bf16, q8_0, q4_0, q3_0" in done.stderr


def test_answers_take_f16_and_figures_f32_unless_told():
    ask = ("run", pajamas.TINY, "--raw", "--prompt", "The people", "--max-tokens", 2, "--json")
    assert pajamas.run_json(*ask)["kv_cache"] == "f16"
    assert pajamas.run_json(*ask, "--kv-cache", "f32")["kv_cache"] == "f32"
    assert pajamas.run_json("doctor", "--no-measure", "--json")["kv_cache"] == "f16"
