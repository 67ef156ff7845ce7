"""MLX directories of the mixture-of-experts models against stock mlx-lm."""

import json

import gguf
import mlx.core as mx
import mlx_lm
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import every
from moe import read_config
from test_moe_sizes import fitting_group

GRID = every(4, [(f"{b}bit", ("--group-size", str(g)))
                 for b in pajamas.MLX_BITS for g in pajamas.MLX_GROUPS])
MIXED = [("4bit", ("--mixed-precision",)), ("3bit", ("--embedding-bits", "8", "--output-bits", "5")),
         ("2bit", ("--tensor-type", "v_proj=6bit"))]
ALL = [*GRID, *MIXED, ("bf16", ())]
IDS = ["-".join((m, *(f.strip("-") for f in flags))) for m, flags in ALL]
FULL = {"group_size", "bits", "mode"}
ROUTERS = {"tiny-qwen3-moe": "mlp.gate", "tiny-gpt-oss": "mlp.router"}
EXPERTS = {"tiny-qwen3-moe": "mlp.switch_mlp", "tiny-gpt-oss": "mlp.experts"}


def tensors(folder):
    out = {}
    for file in sorted(folder.glob("model*.safetensors")):
        out |= mx.load(str(file))
    return out


def overrides(config):
    return {k: v for k, v in config.get("quantization", {}).items() if isinstance(v, dict)}


def setting(config, module):
    usual = {k: v for k, v in config["quantization"].items() if k in FULL}
    return overrides(config).get(module, usual)


def is_expert(subject, module):
    return EXPERTS[subject.name] in module


def rows_of(subject):
    """{module: [..., outputs, inputs]} of every matrix, from the checkpoint alone."""
    gate, experts = ROUTERS[subject.name], EXPERTS[subject.name]
    names = {"token_embd": "model.embed_tokens", "output": "lm_head"}
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v":
             "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate_inp": gate}
    parts |= {f"ffn_{p}_exps": f"{experts}.{p}_proj" for p in ("gate", "up", "down")}
    out = {}
    for name, values in reference_gguf.gguf_tensors(subject.source).items():
        pieces = name.split(".")
        if pieces[-1] != "weight" or values.ndim < 2:
            continue
        out[names[pieces[0]] if len(pieces) == 2 else
            f"model.layers.{pieces[1]}.{parts[pieces[2]]}"] = values
    return out


@pytest.mark.parametrize("method,flags", ALL, ids=IDS)
def test_stock_mlx_lm_agrees(subject, scratch, method, flags):
    """It loads and computes what we compute."""
    folder = subject.models.mlx(method, *flags)
    theirs = subject.mlx_logits(folder)
    assert peers.mean_kl(subject.logits(folder, scratch), theirs) < 1e-8


@pytest.mark.parametrize("method,flags", GRID, ids=IDS[:len(GRID)])
def test_every_module_has_what_the_plan_says(subject, method, flags):
    """Bits, group, mode and shapes; every override in full; routers at 8 bits or more."""
    folder = subject.models.mlx(method, *flags)
    config, stored = read_config(folder), tensors(folder)
    bits, group = int(method[0]), int(flags[1])
    assert {k: v for k, v in config["quantization"].items() if not isinstance(v, dict)} == {
        "bits": bits, "group_size": group, "mode": "affine"}
    assert config["quantization"] == config["quantization_config"]
    assert all(v.keys() == FULL for v in overrides(config).values()), overrides(config)
    rows = rows_of(subject)
    quantized = {n.removesuffix(".scales") for n in stored if n.endswith(".scales")}
    assert quantized == rows.keys() and overrides(config).keys() <= quantized
    for module, values in rows.items():
        how, width = setting(config, module), values.shape[-1]
        want = {"bits": bits, "group_size": fitting_group(group, width), "mode": "affine"}
        if subject.has_mxfp4 and is_expert(subject, module):
            want = {"bits": 4, "group_size": 32, "mode": "mxfp4"}
        elif module.endswith(ROUTERS[subject.name]):
            want["bits"] = max(bits, 8)
        assert how == want, module
        weight, scales = stored[f"{module}.weight"], stored[f"{module}.scales"]
        assert weight.dtype == mx.uint32
        assert weight.shape == (*values.shape[:-1], width * want["bits"] // 32), module
        assert scales.shape == (*values.shape[:-1], width // want["group_size"]), module
        if want["mode"] == "mxfp4":
            assert scales.dtype == mx.uint8 and f"{module}.biases" not in stored
        else:
            assert scales.dtype == mx.bfloat16
            assert stored[f"{module}.biases"].shape == scales.shape


@pytest.mark.parametrize("method,flags", MIXED, ids=IDS[len(GRID):-1])
def test_routers_keep_eight_bits_in_every_recipe(subject, method, flags):
    config = read_config(subject.models.mlx(method, *flags))
    layers = range(config["num_hidden_layers"])
    assert all(setting(config, f"model.layers.{i}.{ROUTERS[subject.name]}")["bits"] >= 8
               for i in layers)
    assert all(v.keys() == FULL for v in overrides(config).values())


@pytest.mark.parametrize("method,flags", ALL, ids=IDS)
def test_dequantize_is_our_decode_bit_for_bit(subject, scratch, method, flags):
    """One layer's modules; the router and a norm among them."""
    folder = subject.models.mlx(method, *flags)
    config, stored = read_config(folder), tensors(folder)
    for name, array in stored.items():
        if ".layers.1." not in name or name.endswith((".scales", ".biases")):
            continue
        module = name.rpartition(".")[0]
        if array.dtype != mx.uint32:
            theirs = np.array(array.astype(mx.float32))
        elif setting(config, module)["mode"] == "mxfp4":
            # MXFP4 has a code for -0, which ggml reads as 0 and mlx as -0.
            theirs = peers.mlx_dequantize_mxfp4(array, stored[f"{module}.scales"]) + np.float32(0)
        else:
            how = setting(config, module)
            theirs = peers.mlx_dequantize(array, stored[f"{module}.scales"],
                                          stored[f"{module}.biases"], how["bits"],
                                          how["group_size"])
        ours = pajamas.tensor_values(folder, name, scratch)
        assert np.array_equal(ours.view(np.uint32), theirs.reshape(-1).view(np.uint32)), name


def test_kept_experts_are_the_original_through_both_peers(gpt_oss):
    """gguf.dequantize and mx.dequantize give the values of the checkpoint's blocks."""
    want = reference_gguf.gguf_tensors(gpt_oss.original)
    in_gguf = {t.name: t for t in gguf.GGUFReader(gpt_oss.models.gguf("Q4_K_M")).tensors}
    stored = tensors(gpt_oss.models.mlx("4bit", "--group-size", "64"))
    compared = 0
    for layer in range(gpt_oss.config["num_hidden_layers"]):
        for part in ("gate", "up", "down"):
            name, module = (f"blk.{layer}.ffn_{part}_exps.weight",
                            f"model.layers.{layer}.mlp.experts.{part}_proj")
            tensor = in_gguf[name]
            ours = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(want[name].shape)
            theirs = peers.mlx_dequantize_mxfp4(stored[f"{module}.weight"],
                                                stored[f"{module}.scales"])
            for values in (ours, theirs):
                assert np.array_equal(values, want[name]), name
            bias = np.array(stored[f"{module}.bias"].astype(mx.float32))
            assert np.array_equal(bias, want[name.replace(".weight", ".bias")])
            compared += 1
    assert compared == 12


def test_stock_conversion_gives_the_same_tensors(subject, make_checkpoint, tmp_path):
    """Names, dtypes and shapes are those of mlx_lm.convert."""
    from mlx_lm import convert
    source = subject.source
    if subject.has_mxfp4:  # stock fails on rows of 288: it asks for groups of 64 in the router
        source = make_checkpoint("gpt-oss-320", of=source, hidden_size=320, intermediate_size=320,
                                 num_hidden_layers=2)
    stock, ours = tmp_path / "stock", tmp_path / "ours"
    convert(str(source), str(stock), quantize=True, q_group_size=64, q_bits=4)
    pajamas.quantize(source, "mlx", "4bit", ours, "--group-size", "64")
    mine, theirs = ({n: (a.dtype, a.shape) for n, a in tensors(f).items()} for f in (ours, stock))
    assert mine == theirs
    router = ROUTERS[subject.name]
    assert {n: v["bits"] for n, v in overrides(read_config(ours)).items() if n.endswith(router)} == {
        n: v["bits"] for n, v in overrides(read_config(stock)).items() if n.endswith(router)}


def test_opened_experts_are_affine(gpt_oss, scratch):
    folder = gpt_oss.models.mlx("4bit", "--group-size", "32", "--allow-requantize")
    stored = tensors(folder)
    scales = [a.dtype for n, a in stored.items() if n.endswith(".scales")]
    assert set(scales) == {mx.bfloat16}
    theirs = gpt_oss.mlx_logits(folder)
    assert peers.mean_kl(gpt_oss.logits(folder, scratch), theirs) < 1e-8


def test_the_bf16_form_that_stock_mlx_lm_cannot_read(gpt_oss, scratch):
    source = gpt_oss.form("bf16")
    with pytest.raises(ValueError):
        peers.mlx_model(source)
    for method in ("4bit", "bf16"):
        folder = gpt_oss.models_of(source).mlx(method)
        theirs = gpt_oss.mlx_logits(folder)
        assert peers.mean_kl(gpt_oss.logits(folder, scratch), theirs) < 1e-8


def test_fp8_becomes_an_ordinary_model(qwen3_moe, scratch):
    source = qwen3_moe.form("fp8")
    folder = qwen3_moe.models_of(source).mlx("bf16")
    config = read_config(folder)
    assert "quantization_config" not in config and "quantization" not in config
    theirs = qwen3_moe.mlx_logits(folder)
    assert peers.mean_kl(qwen3_moe.logits(folder, scratch), theirs) < 1e-8


def test_directory_is_complete(subject):
    folder = subject.models.mlx("4bit", "--group-size", "64")
    config, original = read_config(folder), read_config(subject.source)
    for key, value in original.items():
        if key != "quantization_config":
            assert config[key] == value, key
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    stored = tensors(folder)
    assert index["weight_map"].keys() == stored.keys()
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in stored.values())
    assert index["metadata"]["total_parameters"] == sum(
        v.size for v in reference_gguf.gguf_tensors(subject.source).values())
    for name in ("tokenizer.json", "generation_config.json"):
        assert json.loads((folder / name).read_text()) == json.loads(
            (subject.source / name).read_text())
    model, tokenizer = mlx_lm.load(str(folder))
    assert mlx_lm.generate(model.apply(peers.to_float32), tokenizer, "The people",
                           max_tokens=4)


def test_both_formats_in_one_pass_are_the_single_ones(subject, scratch):
    both = scratch / f"both-{subject.name}"
    pajamas.quantize(subject.source, "gguf,mlx", "Q4_K_M:4bit", both, "--group-size", "64")
    single = subject.models.mlx("4bit", "--group-size", "64")
    assert (both / "gguf/model-q4_k_m.gguf").read_bytes() == subject.models.gguf(
        "Q4_K_M").read_bytes()
    for file in single.iterdir():
        assert (both / "mlx/model-4bit" / file.name).read_bytes() == file.read_bytes(), file.name
