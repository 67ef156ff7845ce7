"""MLX's modes of small floats, mxfp8 and nvfp4: what we write is what stock mlx-lm would, with no
more error, and it computes the same with it; what stock writes we read and run. (mxfp4, which is
for experts: test_moe_mlx.py.)"""

import json

import mlx.core as mx
import mlx_lm
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from mlx_lm import convert

MODES = {"mxfp8": (8, 32), "nvfp4": (4, 16)}
VOCAB, CTX = 2048, 48
ROUTER = {"group_size": 64, "bits": 8, "mode": "affine"}


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def ours(models, mode):
    return models.mlx(mode)


@pytest.fixture(scope="module")
def stock(tmp_path_factory, mode):
    folder = tmp_path_factory.mktemp("modes") / mode
    convert(str(pajamas.TINY), str(folder), quantize=True, q_mode=mode)
    return folder


def tensors(folder):
    return mx.load(str(folder / "model.safetensors"))


def quantization(folder):
    return json.loads((folder / "config.json").read_text())["quantization"]


def test_it_is_what_stock_writes_with_no_more_error(ours, stock, mode):
    bits, group = MODES[mode]
    assert quantization(ours) == {"group_size": group, "bits": bits, "mode": mode}
    assert quantization(ours) == quantization(stock)
    mine, theirs = tensors(ours), tensors(stock)
    assert {n: (a.dtype, a.shape) for n, a in mine.items()} == {
        n: (a.dtype, a.shape) for n, a in theirs.items()}
    compared, sums = 0, [0.0, 0.0]
    for name, original in reference_gguf.hf_tensors(pajamas.TINY).items():
        scales = name.removesuffix("weight") + "scales"
        if scales not in mine:
            continue
        errors = [float(((np.array(mx.dequantize(stored[name], stored[scales], mode=mode,
                                                 dtype=mx.float32), np.float64)
                          - original) ** 2).sum()) for stored in (mine, theirs)]
        # The gains of norms count, within the budget of the encoders (docs/encoders.md).
        assert errors[0] <= errors[1] * 1.05, name
        sums = [a + b for a, b in zip(sums, errors)]
        compared += 1
    assert compared == 30
    assert sums[0] < sums[1] * (1.05 if mode == "mxfp8" else .95)


@pytest.mark.parametrize("made", ["ours", "stock"])
def test_both_engines_agree(ours, stock, mode, made, scratch, tokenizer):
    folder, text = {"ours": ours, "stock": stock}[made], scratch / "modes.txt"
    text.write_text(pajamas.HELDOUT.read_text()[:400])
    chunks = peers.split(tokenizer.encode(text.read_text(), add_special_tokens=False).ids, CTX)
    logits = pajamas.logits(folder, text, CTX, VOCAB, scratch)
    assert peers.mean_kl(logits, peers.mlx_logits(folder, chunks)) < 1e-8


def test_decoding_is_mlxs(ours, mode, scratch):
    stored = tensors(ours)
    for module in ("model.embed_tokens", "model.layers.1.mlp.down_proj"):
        theirs = np.array(mx.dequantize(stored[f"{module}.weight"], stored[f"{module}.scales"],
                                        mode=mode, dtype=mx.float32))
        values = pajamas.tensor_values(ours, f"{module}.weight", scratch)
        # Of -0 ggml and we have 0.
        assert np.array_equal(values + np.float32(0), theirs.reshape(-1) + np.float32(0)), module


def test_generation_runs_in_whole_numbers_too(ours, mode):
    """Whatever the threads and kernels: the text of a greedy run."""
    texts = {pajamas.run("run", ours, "--prompt", "The people of the", "--max-tokens", "12",
                         "--temperature", "0", "--threads", threads).stdout
             for threads in ("1", "2")}
    assert len(texts) == 1 and texts.pop().strip()


def test_routers_stay_affine(tmp_path, mode):
    folder = tmp_path / "moe"
    pajamas.run("quantize", pajamas.TINY_MOE, "--format", "mlx", "--method", mode, "--output",
                folder)
    config = quantization(folder)
    overrides = {name: value for name, value in config.items() if isinstance(value, dict)}
    assert config["mode"] == mode and overrides
    assert all(name.endswith("mlp.gate") and value == ROUTER for name, value in overrides.items())
    model, tokenizer = mlx_lm.load(str(folder))
    assert mlx_lm.generate(model, tokenizer, "The people of the", max_tokens=2)
    modes = {module.mode for path, module in model.named_modules()
             if hasattr(module, "scales") and not path.endswith("mlp.gate")}
    assert modes == {mode}


def test_single_tensors_can_have_one(tmp_path):
    folder = tmp_path / "out"
    pajamas.run("quantize", pajamas.TINY, "--format", "mlx", "--method", "4bit", "--tensor-type",
                "down_proj=nvfp4", "--tensor-type", "v_proj=mxfp8", "--output", folder)
    config = quantization(folder)
    assert config["model.layers.0.mlp.down_proj"] == {"group_size": 16, "bits": 4, "mode": "nvfp4"}
    assert config["model.layers.1.self_attn.v_proj"] == {"group_size": 32, "bits": 8,
                                                        "mode": "mxfp8"}
    model, tokenizer = mlx_lm.load(str(folder))
    assert mlx_lm.generate(model, tokenizer, "The people of the", max_tokens=2)


def test_plan_knows_its_size(ours, mode):
    plan = pajamas.plan(pajamas.TINY, "mlx", mode)["outputs"][0]
    assert sum(array.nbytes for array in tensors(ours).values()) == plan["tensor_bytes"]
    assert sum(file.stat().st_size for file in ours.iterdir()) == plan["file_bytes"]
