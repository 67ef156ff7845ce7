"""Our engine on the mixture-of-experts models, from every form of their checkpoints, against mlx-lm
in float32, and against itself."""

import json

import numpy as np
import pajamas
import peers
import pytest
from moe import VOCAB, read_config, variant

CTX = 512


def assert_close(ours, theirs, what):
    assert ours.shape == theirs.shape
    error = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
    assert error.max() < 1e-4, f"{what}, position {error.argmax()}: {error.max()}"
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all(), what


class Long:
    """One text of two chunks, what mlx-lm makes of the original, what we make of a model."""

    def __init__(self, subject, scratch):
        self.file, chunks = subject.text(CTX)
        model = peers.mlx_model(subject.original)
        if subject.has_mxfp4:
            peers.exact_yarn(model, subject.config)
        self.theirs = peers.mlx_logits(model, chunks)
        self.scratch = scratch

    def ours(self, model, *flags):
        return pajamas.logits(model, self.file, CTX, VOCAB, self.scratch, *flags)


@pytest.fixture(scope="session")
def long(subject, scratch):
    return Long(subject, scratch)


def test_logits_of_the_original(subject, long):
    """Beyond the window and the context of training; YaRN's range as config.json has it."""
    assert_close(long.ours(subject.original), long.theirs, "original")


@pytest.mark.parametrize("formats,method", [("gguf", "F32"), ("gguf", "BF16"), ("mlx", "bf16")])
def test_logits_of_lossless_forms(subject, long, formats, method):
    """What is written for config.json's exact range is run with it."""
    made = subject.models_of(subject.original)
    path = made.gguf(method) if formats == "gguf" else made.mlx(method)
    assert_close(long.ours(path), long.theirs, method)


def test_the_stock_range_is_another_model(gpt_oss, scratch):
    """The test above can fail: what both stock peers compute differs beyond its bound."""
    rounded = gpt_oss.logits(gpt_oss.source, scratch)
    kl = peers.mean_kl(rounded, gpt_oss.logits(gpt_oss.original, scratch))
    assert 1e-4 < kl < 0.05
    assert_close(rounded, gpt_oss.mlx_logits(gpt_oss.original), "rounded")


def test_fused_experts_are_the_same_model(qwen3_moe, scratch):
    fused = qwen3_moe.logits(qwen3_moe.form("fused"), scratch)
    assert fused.tobytes() == qwen3_moe.logits(qwen3_moe.source, scratch).tobytes()


def test_transposed_experts_are_the_same_model(gpt_oss, scratch):
    ours = gpt_oss.logits(gpt_oss.form("bf16"), scratch)
    assert_close(ours, gpt_oss.logits(gpt_oss.source, scratch), "bf16 form")
    assert_close(ours, gpt_oss.mlx_logits(gpt_oss.source), "bf16 form against mlx-lm")


@pytest.mark.parametrize("scale", ["bf16", "f32"])
def test_fp8(qwen3_moe, scratch, scale):
    """Against mlx-lm on the same values in float32: stock mlx-lm reads no block scales."""
    fp8 = qwen3_moe.form("fp8", "--scale-dtype", scale)
    plain = qwen3_moe.form("per-expert", "--dtype", "f32", of=fp8)
    ours = qwen3_moe.logits(fp8, scratch)
    assert_close(ours, qwen3_moe.mlx_logits(plain), f"scales in {scale}")
    # The rounding is not lost either.
    assert peers.mean_kl(ours, qwen3_moe.logits(qwen3_moe.source, scratch)) > 1e-6


def test_blocks_that_end_early(make_checkpoint, qwen3_moe, scratch):
    """FP8 matrices whose sides are no multiples of 128."""
    folder = make_checkpoint("odd-fp8", "--form", "fp8", of=qwen3_moe.original, hidden_size=320,
                             moe_intermediate_size=224, num_hidden_layers=2, num_experts=5,
                             num_experts_per_tok=3)
    plain = qwen3_moe.form("per-expert", "--dtype", "f32", of=folder)
    assert_close(qwen3_moe.logits(folder, scratch), qwen3_moe.mlx_logits(plain), "odd blocks")


def test_layers_without_experts(make_checkpoint, qwen3_moe, scratch):
    folder = make_checkpoint("some-dense", of=qwen3_moe.original, mlp_only_layers=[1],
                             num_hidden_layers=3)
    assert_close(qwen3_moe.logits(folder, scratch), qwen3_moe.mlx_logits(folder), "dense layer 1")


def test_scores_that_are_not_renormalised(make_checkpoint, qwen3_moe, scratch):
    folder = make_checkpoint("raw-scores", of=qwen3_moe.original, norm_topk_prob=False)
    assert_close(qwen3_moe.logits(folder, scratch), qwen3_moe.mlx_logits(folder), "raw scores")


def test_every_expert_is_chosen(make_checkpoint, qwen3_moe, scratch):
    folder = make_checkpoint("all-experts", of=qwen3_moe.original, num_experts=4,
                             num_experts_per_tok=4)
    assert_close(qwen3_moe.logits(folder, scratch), qwen3_moe.mlx_logits(folder), "all experts")


def test_both_spellings_of_transformers(subject, scratch):
    """rope_parameters and dtype instead of rope_scaling, rope_theta and torch_dtype."""
    def respell(config):
        scaling = config.pop("rope_scaling") or {"rope_type": "default"}
        config["rope_parameters"] = scaling | {"rope_theta": config.pop("rope_theta")}
        config["dtype"] = config.pop("torch_dtype")

    folder = variant(subject.source, subject.folder / "respelled", respell)
    assert "rope_theta" not in read_config(folder)
    assert subject.logits(folder, scratch).tobytes() == subject.logits(subject.source,
                                                                        scratch).tobytes()


def form_path(subject, form):
    return {"original": lambda: subject.source, "gguf": lambda: subject.models.gguf("Q4_K_M"),
            "mlx": lambda: subject.models.mlx("4bit")}[form]()


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
def test_logits_do_not_depend_on_threads(subject, scratch, form):
    one, two, three = (subject.logits(form_path(subject, form), scratch, "--threads", n)
                       for n in (1, 2, 3))
    assert one.tobytes() == two.tobytes() == three.tobytes()


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
@pytest.mark.parametrize("kernels", pajamas.supported_kernels())
def test_forced_kernels_agree(subject, scratch, form, kernels):
    path = form_path(subject, form)
    flags, env = pajamas.with_kernels(kernels)
    out = scratch / "kernels.f32"
    pajamas.run("validate", path, "--metrics", "perplexity", "--text", subject.short[0], "--ctx",
                128, "--dump-logits", out, "--force", *flags, env=env)
    ours = np.fromfile(out, "<f4").reshape(-1, VOCAB)
    # A router's near tie may fall the other way where sums differ in their last bits.
    assert np.median(peers.kl_by_position(ours, subject.logits(path, scratch))) < 1e-6


def test_greedy_text_is_that_of_the_reference(subject):
    """The prompt, then one token at a time through the cache, past the sliding window."""
    prompt = ("In the beginning God created the heaven and the earth. And the earth was without "
              "form, and void; and darkness was upon the face of the deep. And the Spirit of God "
              "moved upon the face of the waters.")
    count = 48
    ours = pajamas.run("run", subject.original, "--raw", "--prompt", prompt, "--max-tokens", count,
                       "--temperature", "0", "--repeat-penalty", "1", "--kv-cache", "f32").stdout
    ids = subject.tokenizer.encode(prompt, add_special_tokens=False).ids
    assert len(ids) > 40
    model = peers.mlx_model(subject.original)
    if subject.has_mxfp4:
        peers.exact_yarn(model, subject.config)
    text = peers.mlx_greedy(model, ids, count)
    stop = json.loads((subject.original / "generation_config.json").read_text())["eos_token_id"]
    text = text[:next((i for i, t in enumerate(text) if t in stop), len(text))]
    assert ours.strip("\n") == subject.tokenizer.decode(text, skip_special_tokens=False).strip("\n")
