"""Our engine on the original checkpoint against mlx-lm in float32, and against itself."""

import json

import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import THOROUGH

VOCAB = 2048
CTX = 512


@pytest.fixture(scope="session")
def long_text():
    return pajamas.HELDOUT


@pytest.fixture(scope="session")
def our_logits(scratch, long_text):
    return pajamas.logits(pajamas.TINY, long_text, CTX, VOCAB, scratch)


def assert_close(ours, theirs, what):
    error = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
    assert error.max() < 1e-4, f"{what}, position {error.argmax()}"
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all(), what


@pytest.fixture(scope="session")
def long_chunks(tokenizer, long_text):
    ids = tokenizer.encode(long_text.read_text(), add_special_tokens=False).ids
    return peers.split(ids, CTX)


def test_logits_against_mlx(our_logits, long_chunks):
    """Nearly equal numbers and the same first choice. (It does 400 positions a second.)"""
    model = peers.mlx_model(pajamas.TINY)
    assert len(our_logits) == len(long_chunks) * CTX
    for i, chunk in enumerate(long_chunks[:10 if THOROUGH else 2]):
        assert_close(our_logits[i * CTX:(i + 1) * CTX], peers.mlx_logits(model, [chunk]),
                     f"chunk {i}")


def test_logits_of_the_whole_text_against_llama(our_logits, long_chunks, scratch):
    """All positions, against llama.cpp on float32 weights that we did not write."""
    path = scratch / "reference-engine.gguf"
    reference_gguf.write(pajamas.TINY, path)
    theirs = peers.llama_logits(path, long_chunks)
    assert_close(our_logits, theirs, "whole text")


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
def test_logits_do_not_depend_on_threads(models, scratch, short_text, form):
    path = {"original": lambda: pajamas.TINY, "gguf": lambda: models.gguf("Q4_K_M"),
            "mlx": lambda: models.mlx("4bit")}[form]()
    one, two, three = (pajamas.logits(path, short_text, 256, VOCAB, scratch, "--threads", n)
                       for n in (1, 2, 3))
    assert one.tobytes() == two.tobytes() == three.tobytes()


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
@pytest.mark.parametrize("kernels", pajamas.supported_kernels())
def test_forced_kernels_agree(models, scratch, short_text, short_chunks, form, kernels):
    path = {"original": lambda: pajamas.TINY, "gguf": lambda: models.gguf("Q5_K_M"),
            "mlx": lambda: models.mlx("5bit")}[form]()
    flags, env = pajamas.with_kernels(kernels)
    out = scratch / "kernels.f32"
    pajamas.run("validate", path, "--metrics", "perplexity", "--text", short_text, "--ctx", 256,
                "--dump-logits", out, "--force", *flags, env=env)
    ours = np.fromfile(out, "<f4").reshape(-1, VOCAB)
    base = pajamas.logits(path, short_text, 256, VOCAB, scratch)
    assert peers.mean_kl(ours, base) < 1e-4


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
def test_generated_text_does_not_depend_on_threads(models, form):
    path = {"original": lambda: pajamas.TINY, "gguf": lambda: models.gguf("Q4_K_M"),
            "mlx": lambda: models.mlx("4bit")}[form]()
    texts = {pajamas.run("run", path, "--raw", "--prompt", "And God said", "--max-tokens", 48,
                         "--temperature", "0.8", "--seed", 7, "--threads", n).stdout
             for n in (1, 2)}
    assert len(texts) == 1 and len(texts.pop().split()) > 5


def test_greedy_text_is_that_of_the_reference(tokenizer):
    """The prompt, then one token at a time through the cache, is one pass over the whole."""
    prompt = "In the beginning God created the heaven and the earth."
    ours = pajamas.run("run", pajamas.TINY, "--raw", "--prompt", prompt, "--max-tokens", 32,
                       "--temperature", "0", "--repeat-penalty", "1").stdout
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    model, count = peers.mlx_model(pajamas.TINY), len(ids)
    stop = set(json.loads((pajamas.TINY / "generation_config.json").read_text())["eos_token_id"])
    while len(ids) < count + 32:
        token = int(peers.mlx_logits(model, [ids])[-1].argmax())
        if token in stop:
            break
        ids.append(token)
    assert ours.strip("\n") == tokenizer.decode(ids[count:], skip_special_tokens=False).strip("\n")


def test_statistics_of_a_run(scratch):
    path = scratch / "stats.json"
    done = pajamas.run("run", pajamas.TINY, "--raw", "--prompt", "The people", "--max-tokens", 16,
                       "--seed", 1, "--stats", path, "--force")
    stats = json.loads(path.read_text())
    assert stats.keys() >= {"prompt_tokens", "prompt_tokens_per_second", "generated_tokens",
                            "generation_tokens_per_second", "load_seconds", "peak_memory_bytes"}
    assert stats["prompt_tokens"] == len(pajamas.tokenize(pajamas.TINY, "The people"))
    assert 0 < stats["generated_tokens"] <= 16
    assert stats["peak_memory_bytes"] < 1 << 28
    assert "tokens/s" in done.stderr
