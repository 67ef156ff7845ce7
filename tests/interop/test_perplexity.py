"""The figures of `validate` against llama.cpp's procedure, carried out here on its own logits."""

import json
import math

import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import THOROUGH

VOCAB = 2048


def scored(ctx, chunks):
    """Rows whose next token counts: the second half of each chunk but its last position."""
    return np.concatenate([np.arange(i * ctx + ctx // 2, (i + 1) * ctx - 1)
                           for i in range(chunks)])


def perplexity(logits, chunks):
    """(perplexity, standard error) as llama-perplexity prints them."""
    ctx = len(chunks[0])
    rows = scored(ctx, len(chunks))
    ids = np.concatenate(chunks)
    nll = -peers.log_softmax(logits[rows])[np.arange(len(rows)), ids[rows + 1]]
    mean = nll.mean()
    variance = (nll ** 2).mean() - mean ** 2
    ppl = math.exp(mean)
    return ppl, math.sqrt(variance / (len(nll) - 1)) * ppl


@pytest.fixture(scope="session")
def medium_text(scratch):
    path = scratch / "medium.txt"
    path.write_text(pajamas.HELDOUT.read_text()[:20000 if THOROUGH else 7000])
    return path


@pytest.fixture(scope="session")
def medium_chunks(medium_text, tokenizer):
    ids = tokenizer.encode(medium_text.read_text(), add_special_tokens=False).ids
    return peers.split(ids, 256)


def validate(model, *flags):
    return pajamas.run_json("validate", model, "--json", *flags, timeout=300)


def test_perplexity_is_llama_cpps(models, medium_text, medium_chunks):
    path = models.gguf("F32")
    ours = validate(path, "--metrics", "perplexity", "--text", medium_text, "--ctx", 256)
    ppl, stderr = perplexity(peers.llama_logits(path, medium_chunks), medium_chunks)
    assert ours["perplexity"] == pytest.approx(ppl, rel=1e-4)
    assert ours["perplexity_stderr"] == pytest.approx(stderr, rel=1e-4)


def test_perplexity_where_every_text_starts_with_bos(make_checkpoint, scratch, medium_text):
    """llama-perplexity puts one in front of the whole, then one in place of each chunk's first."""
    folder = make_checkpoint("with-bos")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"add_bos_token": True, "bos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    path = scratch / "with-bos.gguf"
    pajamas.quantize(folder, "gguf", "F32", path)
    assert reference_gguf.metadata(path)["tokenizer.ggml.add_bos_token"][1] is True
    ours = validate(path, "--metrics", "perplexity", "--text", medium_text, "--ctx", 256)
    with peers.llama_model(path, vocab_only=True) as model:
        whole = [2016, *peers.llama_tokenize(model, medium_text.read_text(), False)]
    chunks = [[2016, *chunk[1:]] for chunk in peers.split(whole, 256)]
    ppl, stderr = perplexity(peers.llama_logits(path, chunks), chunks)
    assert ours["perplexity"] == pytest.approx(ppl, rel=1e-4)
    assert ours["perplexity_stderr"] == pytest.approx(stderr, rel=1e-4)


def test_loss_and_divergence_against_the_reference(models, scratch, medium_text, medium_chunks):
    small, original = models.mlx("3bit"), pajamas.TINY
    ours = validate(small, "--metrics", "perplexity,kl", "--reference", original, "--text",
                    medium_text, "--ctx", 256)
    base = peers.mlx_logits(original, medium_chunks)
    theirs = peers.mlx_logits(small, medium_chunks)
    ppl, _ = perplexity(theirs, medium_chunks)
    ppl_base, _ = perplexity(base, medium_chunks)
    rows = scored(256, len(medium_chunks))
    p, q = peers.log_softmax(base[rows]), peers.log_softmax(theirs[rows])
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    assert ours["perplexity"] == pytest.approx(ppl, rel=1e-4)
    assert ours["reference_perplexity"] == pytest.approx(ppl_base, rel=1e-4)
    assert ours["loss_percent"] == pytest.approx((ppl / ppl_base - 1) * 100, rel=1e-2)
    assert ours["kl_mean"] == pytest.approx(kl.mean(), rel=1e-2)
    assert ours["kl_stderr"] == pytest.approx(kl.std() / math.sqrt(len(kl) - 1), rel=2e-2)
    assert ours["kl_p99"] == pytest.approx(np.quantile(kl, 0.99), rel=5e-2)
    same = (base[rows].argmax(axis=1) == theirs[rows].argmax(axis=1)).mean()
    assert ours["top1"] in (pytest.approx(same, abs=2e-3), pytest.approx(same * 100, abs=0.2))


def test_a_model_against_itself_loses_nothing(models, short_text):
    ours = validate(pajamas.TINY, "--metrics", "perplexity,kl", "--reference", models.gguf("BF16"),
                    "--text", short_text, "--ctx", 256)
    assert abs(ours["loss_percent"]) < 1e-3 and abs(ours["kl_mean"]) < 1e-8


def test_figures_do_not_depend_on_threads(models, short_text):
    one, two = (validate(models.gguf("Q4_K_M"), "--metrics", "perplexity,kl", "--reference",
                         pajamas.TINY, "--text", short_text, "--ctx", 256, "--threads", n)
                for n in (1, 2))
    figures = ("perplexity", "perplexity_stderr", "kl_mean", "kl_stderr", "kl_p99", "top1")
    assert [one[k] for k in figures] == [two[k] for k in figures]


def test_too_short_a_text_is_an_error(scratch):
    path = scratch / "tiny.txt"
    path.write_text("Too short.")
    done = pajamas.run("validate", pajamas.TINY, "--metrics", "perplexity", "--text", path,
                       "--ctx", 256, check=False)
    assert 0 < done.returncode < 128 and done.stderr.count("error:") == 1
