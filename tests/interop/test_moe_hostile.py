"""Broken checkpoints and files of the mixture-of-experts models: one line that names the file and
the place, a status that is no signal, no output. Every case is a small model with one thing wrong."""

import copy
import math
import os
import shutil
import struct

import hostile_gguf
import pajamas
import pytest
from checkpoint.files import SIZES
from test_hostile import BIG, fails, field, json_case, limited, put, retype, shard_case, truncate

SAFE = "model.safetensors"
CONFIG = "config.json"
X = "model.layers.1.mlp.experts."
BLOCKS, SCALES, BIAS = (f"{X}gate_up_proj_{part}" for part in ("blocks", "scales", "bias"))
SINKS, ROUTER_BIAS = "model.layers.1.self_attn.sinks", "model.layers.1.mlp.router.bias"
EXPERT = f"{X}3.gate_proj.weight"
FUSED = f"{X}gate_up_proj"
INV = f"{EXPERT}_scale_inv"


def entry(name, **changes):
    return shard_case(lambda s: s.header[name].update(changes))


def removed(*names):
    """Without the tensors and their bytes: what is left is a sound file."""
    def change(shard):
        for name in names:
            first, last = shard.header.pop(name)["data_offsets"]
            del shard.data[first:last]
            for other in shard.header.values():
                if "data_offsets" in other and other["data_offsets"][0] >= last:
                    other["data_offsets"] = [o - (last - first) for o in other["data_offsets"]]
    return shard_case(change)


def added(*tensors):
    """With tensors of zeros: (name, dtype, shape)."""
    def change(shard):
        for name, dtype, shape in tensors:
            first = len(shard.data)
            shard.data += bytes(math.prod(shape) * SIZES[dtype])
            shard.header[name] = {"dtype": dtype, "shape": shape,
                                  "data_offsets": [first, len(shard.data)]}
    return shard_case(change)


def reshaped(name, dtype, shape):
    """Another tensor of zeros in its place, whatever its size."""
    def build(folder):
        removed(name)(folder)
        added((name, dtype, shape))(folder)
    return build


def byte(name, value):
    def change(shard):
        shard.data[shard.header[name]["data_offsets"][0] + 7] = value
    return shard_case(change)


def floats(name, pattern, code):
    def change(shard):
        first = shard.header[name]["data_offsets"][0]
        shard.data[first:first + struct.calcsize(code)] = struct.pack(code, pattern)
    return shard_case(change)


def config(**changes):
    return json_case(CONFIG, lambda c: c.update(changes))


def quantization(**changes):
    return json_case(CONFIG, lambda c: c["quantization_config"].update(changes))


def rope(**changes):
    return json_case(CONFIG, lambda c: c["rope_scaling"].update(changes))


# base of the case: {case: (what is done, names that the error has)}
CASES = {
    "mxfp4": {
        "blocks-flat": (entry(BLOCKS, shape=[8, 576, 144]), [SAFE, FUSED]),
        "blocks-other-experts": (entry(BLOCKS, shape=[4, 1152, 9, 16]), [SAFE, FUSED]),
        "blocks-of-32-bytes": (entry(BLOCKS, shape=[8, 288, 9, 32]), [SAFE, FUSED]),
        "blocks-one-less": (reshaped(BLOCKS, "U8", [8, 576, 8, 16]), [SAFE, FUSED]),
        "blocks-dtype": (reshaped(BLOCKS, "F32", [8, 576, 9, 16]), [SAFE, FUSED]),
        "blocks-missing": (removed(BLOCKS), [FUSED]),
        "scales-flat": (entry(SCALES, shape=[8, 5184]), [SAFE, FUSED]),
        "scales-turned": (entry(SCALES, shape=[576, 8, 9]), [SAFE, FUSED]),
        "scales-dtype": (reshaped(SCALES, "BF16", [8, 576, 9]), [SAFE, FUSED]),
        "scales-missing": (removed(SCALES), [SCALES]),
        "bias-missing": (removed(BIAS), [BIAS]),
        "bias-shape": (entry(BIAS, shape=[576, 8]), [SAFE, BIAS]),
        "sinks-missing": (removed(SINKS), [SINKS]),
        "sinks-too-few": (reshaped(SINKS, "BF16", [3]), [SAFE, SINKS]),
        "router-bias-missing": (removed(ROUTER_BIAS), [ROUTER_BIAS]),
        "both-forms": (added((FUSED, "BF16", [8, 288, 576])), ["gate_up_proj"]),
        "truncated": (truncate, [SAFE]),
        "method-unknown": (quantization(quant_method="zipnn"), [CONFIG, "zipnn"]),
        "method-absent": (json_case(CONFIG, lambda c: c.update(quantization_config={})),
                          [CONFIG, "quant"]),
        "method-number": (quantization(quant_method=5), [CONFIG, "quant_method"]),
        "quantization-text": (config(quantization_config="mxfp4"), [CONFIG, "quantization_config"]),
        "layer-types-short": (config(layer_types=["sliding_attention"]), [CONFIG, "layer_types"]),
        "layer-types-unknown": (config(layer_types=["linear_attention"] * 4),
                                [CONFIG, "layer_types"]),
        "layer-types-numbers": (config(layer_types=[1, 2, 3, 4]), [CONFIG, "layer_types"]),
        "window-zero": (config(sliding_window=0), [CONFIG, "sliding_window"]),
        "window-negative": (config(sliding_window=-5), [CONFIG, "sliding_window"]),
        "window-absent": (config(sliding_window=None), [CONFIG, "sliding_window"]),
        "experts-zero": (config(num_local_experts=0), [CONFIG, "num_local_experts"]),
        "experts-negative": (config(num_local_experts=-8), [CONFIG, "num_local_experts"]),
        "experts-huge": (config(num_local_experts=1 << 40), [CONFIG, "num_local_experts"]),
        "experts-9": (config(num_local_experts=9), [SAFE, "model.layers.0.mlp."]),
        "experts-4": (config(num_local_experts=4), [SAFE, "model.layers.0.mlp."]),
        "used-zero": (config(num_experts_per_tok=0, experts_per_token=0), [CONFIG, "per_tok"]),
        "used-9": (config(num_experts_per_tok=9, experts_per_token=9), [CONFIG, "per_tok"]),
        "limit-negative": (config(swiglu_limit=-7.0), [CONFIG, "swiglu_limit"]),
        "rope-unknown": (rope(rope_type="spiral"), [CONFIG, "spiral"]),
        "rope-longrope": (rope(rope_type="longrope"), [CONFIG, "longrope"]),
        "rope-number": (rope(rope_type=4), [CONFIG, "rope"]),
        "rope-factor-zero": (rope(factor=0), [CONFIG, "factor"]),
        "rope-factor-text": (rope(factor="4"), [CONFIG, "factor"]),
        "rope-context-zero": (rope(original_max_position_embeddings=0),
                              [CONFIG, "original_max_position_embeddings"]),
        "rope-beta-negative": (rope(beta_fast=-1), [CONFIG, "beta_fast"]),
        "rope-truncate-text": (rope(truncate="no"), [CONFIG, "truncate"]),
        "rope-array": (config(rope_scaling=[4.0]), [CONFIG, "rope_scaling"]),
    },
    "per-expert": {
        "expert-missing": (removed(EXPERT), [EXPERT]),
        "expert-3-missing": (removed(*(f"{X}3.{p}_proj.weight" for p in ("gate", "up", "down"))),
                             [f"{X}3."]),
        "expert-shape": (entry(EXPERT, shape=[128, 512]), [SAFE, EXPERT]),
        "expert-one-dimension": (entry(EXPERT, shape=[65536]), [SAFE, EXPERT]),
        "both-forms": (added((FUSED, "BF16", [8, 512, 256]),
                             (f"{X}down_proj", "BF16", [8, 256, 256])), ["experts."]),
        "experts-zero": (config(num_experts=0), [CONFIG, "num_experts"]),
        "experts-text": (config(num_experts="eight"), [CONFIG, "num_experts"]),
        "experts-huge": (config(num_experts=1 << 40), [CONFIG, "num_experts"]),
        "experts-9": (config(num_experts=9), ["model.layers.0.mlp."]),
        "experts-4": (config(num_experts=4), ["model.layers.0.mlp."]),
        "used-zero": (config(num_experts_per_tok=0), [CONFIG, "num_experts_per_tok"]),
        "used-9": (config(num_experts_per_tok=9), [CONFIG, "num_experts_per_tok"]),
        "width-zero": (config(moe_intermediate_size=0), [CONFIG, "moe_intermediate_size"]),
        "width-other": (config(moe_intermediate_size=512), [SAFE, "experts.0."]),
        "step-zero": (config(decoder_sparse_step=0), [CONFIG, "decoder_sparse_step"]),
        "dense-layer-without-weights": (config(mlp_only_layers=[1]), ["model.layers.1.mlp."]),
        "dense-layers-text": (config(mlp_only_layers="1"), [CONFIG, "mlp_only_layers"]),
        "dense-layers-negative": (config(mlp_only_layers=[-1]), [CONFIG, "mlp_only_layers"]),
        "rope-unknown": (config(rope_scaling={"rope_type": "spiral", "factor": 2.0}),
                         [CONFIG, "spiral"]),
        "rope-old-spelling-unknown": (config(rope_scaling={"type": "spiral", "factor": 2.0}),
                                      [CONFIG, "spiral"]),
        "codes-without-a-method": (reshaped(EXPERT, "F8_E4M3", [256, 256]), [EXPERT]),
    },
    "fused": {
        "turned": (entry(FUSED, shape=[8, 256, 512]), [SAFE, FUSED]),
        "flat": (entry(FUSED, shape=[4096, 256]), [SAFE, FUSED]),
        "down-missing": (removed(f"{X}down_proj"), [f"{X}down_proj"]),
        "gate-up-missing": (removed(FUSED), [X]),
        "experts-7": (reshaped(FUSED, "BF16", [7, 512, 256]), [SAFE, FUSED]),
    },
    "fp8": {
        "scale-missing": (removed(INV), [EXPERT]),
        "scale-shape": (entry(INV, shape=[4]), [SAFE, EXPERT]),
        "scale-too-few": (reshaped(INV, "BF16", [2, 1]), [SAFE, EXPERT]),
        "scale-dtype": (reshaped(INV, "U8", [2, 2]), [SAFE, EXPERT]),
        "scale-without-codes": (reshaped(EXPERT, "BF16", [256, 256]), [EXPERT]),
        "expert-missing": (removed(EXPERT, INV), [EXPERT]),
        "block-64": (quantization(weight_block_size=[64, 64]), [CONFIG, "weight_block_size"]),
        "block-text": (quantization(weight_block_size="128"), [CONFIG, "weight_block_size"]),
        "block-of-one": (quantization(weight_block_size=[128]), [CONFIG, "weight_block_size"]),
        "block-zero": (quantization(weight_block_size=[0, 128]), [CONFIG, "weight_block_size"]),
        "format-e5m2": (quantization(fmt="e5m2"), [CONFIG, "e5m2"]),
        "method-awq": (quantization(quant_method="awq"), [CONFIG, "awq"]),
        "truncated": (truncate, [SAFE]),
    },
}
# What only decoding sees.
VALUES = {
    "fp8": {
        "weight-nan": (byte(EXPERT, 0x7F), [SAFE, EXPERT]),
        "scale-nan": (floats(INV, 0x7FC0, "<H"), [SAFE, EXPERT]),
        "scale-infinite": (floats(INV, 0x7F80, "<H"), [SAFE, EXPERT]),
    },
    "mxfp4": {"exponent-nan": (byte(SCALES, 0xFF), [SAFE, X])},
    "fused": {"weight-nan": (floats(FUSED, 0x7FC0, "<H"), [SAFE, FUSED])},
}


@pytest.fixture(scope="session")
def bases(qwen3_moe, gpt_oss):
    return {"mxfp4": lambda: gpt_oss.original, "fused": lambda: qwen3_moe.form("fused"),
            "fp8": lambda: qwen3_moe.form("fp8"),
            "per-expert": lambda: qwen3_moe.form("per-expert")}


@pytest.fixture
def broken_folder(bases, tmp_path):
    """A base by links: a case replaces what it changes."""
    path = tmp_path / "model"

    def make(base, build):
        path.mkdir()
        for file in bases[base]().iterdir():
            os.symlink(file, path / file.name)
        build(path)
        return path

    yield make
    shutil.rmtree(path, ignore_errors=True)


def listed(cases):
    return [pytest.param(base, case, id=f"{base}-{case}") for base in cases for case in cases[base]]


@pytest.mark.parametrize("base,case", listed(CASES))
def test_directory(broken_folder, tmp_path, base, case):
    build, names = CASES[base][case]
    folder = broken_folder(base, build)
    fails("quantize", folder, "--format", "gguf,mlx", "--method", "Q4_0:4bit", "--output",
          tmp_path / "out", names=names)
    fails("plan", folder, "--format", "gguf", "--method", "Q4_0", names=names)
    fails("run", folder, "--raw", "--prompt", "x", "--max-tokens", "1", names=names)
    fails("inspect", folder, names=names)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and folder not in p.parents] == []


@pytest.mark.parametrize("base,case", listed(VALUES))
def test_values(broken_folder, tmp_path, base, case):
    build, names = VALUES[base][case]
    folder = broken_folder(base, build)
    fails("quantize", folder, "--format", "gguf,mlx", "--method", "Q4_0:4bit", "--output",
          tmp_path / "out", "--allow-requantize", names=names)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and folder not in p.parents] == []


@pytest.mark.parametrize("base", ["mxfp4", "fused", "fp8", "per-expert"])
def test_the_bases_are_sound(broken_folder, tmp_path, base):
    folder = broken_folder(base, lambda path: None)
    pajamas.run("run", folder, "--raw", "--prompt", "x", "--max-tokens", "2", preexec_fn=limited)


@pytest.mark.parametrize("shard", [1, 2])
def test_shards_cut_short(tmp_path, shard):
    shutil.copytree(pajamas.TINY_MOE, tmp_path / "model")
    path = tmp_path / f"model/model-0000{shard}-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-4096])
    for command in (["inspect"], ["run", "--raw", "--prompt", "x"],
                    ["quantize", "--method", "Q4_0", "--output", tmp_path / "out.gguf"]):
        fails(command[0], tmp_path / "model", *command[1:], names=[path.name])


# --- MLX -----------------------------------------------------------------------------------------

MODULE = "model.layers.1.mlp.experts.gate_proj"
ATTENTION = "model.layers.1.self_attn.q_proj"


def override(module, value):
    def change(c):
        for key in ("quantization", "quantization_config"):
            c[key] = c[key] | {module: value}
    return json_case(CONFIG, change)


def like(bits=4, group_size=32, mode="affine"):
    return {"group_size": group_size, "bits": bits, "mode": mode}


MLX = {
    "bits-contradict": (override(ATTENTION, like(bits=8)), [ATTENTION]),
    "group-contradicts": (override(ATTENTION, like(group_size=64)), [ATTENTION]),
    "group-does-not-divide": (override(ATTENTION, like(group_size=128)), [ATTENTION]),
    "mode-unknown": (override(ATTENTION, like(mode="cubic")), ["cubic"]),
    "affine-as-nvfp4": (override(ATTENTION, like(group_size=16, mode="nvfp4")), [ATTENTION]),
    "affine-as-mxfp8": (override(ATTENTION, like(bits=8, mode="mxfp8")), [ATTENTION]),
    "affine-as-mxfp4": (override(ATTENTION, like(mode="mxfp4")), [ATTENTION]),
    "mxfp4-as-affine": (override(MODULE, like()), [MODULE]),
    "mxfp4-group-64": (override(MODULE, like(group_size=64, mode="mxfp4")), [MODULE]),
    "mxfp4-8-bits": (override(MODULE, like(bits=8, mode="mxfp4")), [MODULE]),
    "override-number": (override(MODULE, 4), [MODULE]),
    "override-false": (override(MODULE, False), [MODULE]),
    "override-empty-mode": (override(MODULE, {"group_size": 32, "bits": 4, "mode": 5}), [MODULE]),
    "scales-missing": (removed(f"{MODULE}.scales"), [MODULE]),
    "scales-dtype": (reshaped(f"{MODULE}.scales", "BF16", [8, 288, 9]), [MODULE]),
    "scales-shape": (entry(f"{MODULE}.scales", shape=[8, 9, 288]), [MODULE]),
    "biases-beside-mxfp4": (added((f"{MODULE}.biases", "BF16", [8, 288, 9])), [MODULE]),
    "biases-missing": (removed(f"{ATTENTION}.biases"), [ATTENTION]),
    "weight-missing": (removed(f"{MODULE}.weight"), [MODULE]),
    "weight-flat": (entry(f"{MODULE}.weight", shape=[2304, 36]), [MODULE]),
    "experts-9": (config(num_local_experts=9), ["model.layers.0.mlp."]),
    "truncated": (truncate, [SAFE]),
}


@pytest.mark.parametrize("case", MLX)
def test_mlx(gpt_oss, tmp_path, case):
    build, names = MLX[case]
    folder = tmp_path / "model"
    shutil.copytree(gpt_oss.models.mlx("4bit", "--group-size", "32"), folder)
    build(folder)
    fails("inspect", folder, names=names)
    fails("run", folder, "--raw", "--prompt", "x", "--max-tokens", "1", names=names)
    fails("quantize", folder, "--method", "Q8_0", "--allow-requantize", "--output",
          tmp_path / "out.gguf", names=names)
    shutil.rmtree(folder)


# --- GGUF ----------------------------------------------------------------------------------------

GATE = "blk.1.ffn_gate_exps.weight"


def without_tensor(name):
    def change(d):
        d.tensors = [t for t in d.tensors if t.name != name.encode()]
    return change


def key(name):
    return f"gpt-oss.{name}"


GGUFS = {
    "gate-missing": (without_tensor(GATE), [GATE]),
    "gate-bias-missing": (without_tensor("blk.1.ffn_gate_exps.bias"), ["blk.1.ffn_gate_exps.bias"]),
    "sinks-missing": (without_tensor("blk.1.attn_sinks.weight"), ["blk.1.attn_sinks.weight"]),
    "router-missing": (without_tensor("blk.1.ffn_gate_inp.weight"), ["blk.1.ffn_gate_inp.weight"]),
    "gate-turned": (field(GATE, dims=[288, 8, 288]), [GATE]),
    "gate-flat": (field(GATE, dims=[288, 2304]), [GATE]),
    "gate-4-dimensions": (field(GATE, dims=[288, 288, 2, 4]), [GATE]),
    "gate-overflow": (field(GATE, dims=[288, 288, BIG]), [GATE]),
    "gate-row-no-block": (field(GATE, dims=[144, 576, 8]), [GATE]),
    "rope-unknown": (put(key("rope.scaling.type"), "spiral"), ["spiral"]),
    "rope-factor-zero": (put(key("rope.scaling.factor"), 0.0), [key("rope.scaling.factor")]),
    "rope-factor-nan": (put(key("rope.scaling.factor"), float("nan")),
                        [key("rope.scaling.factor")]),
    "rope-factor-absent": (lambda d: d.drop(key("rope.scaling.factor")),
                           [key("rope.scaling.factor")]),
    "rope-context-zero": (put(key("rope.scaling.original_context_length"), 0),
                          [key("rope.scaling.original_context_length")]),
    "window-zero": (put(key("attention.sliding_window"), 0), [key("attention.sliding_window")]),
    "window-absent": (lambda d: d.drop(key("attention.sliding_window")),
                      [key("attention.sliding_window")]),
    "experts-9": (put(key("expert_count"), 9), ["blk.0.ffn_"]),
    "used-9": (put(key("expert_used_count"), 9), [key("expert_used_count")]),
}
for name in ("expert_count", "expert_used_count", "expert_feed_forward_length"):
    GGUFS[f"{name}-zero"] = (put(key(name), 0), [key(name)])
    GGUFS[f"{name}-negative"] = (retype(key(name), 5, -4), [key(name)])
    GGUFS[f"{name}-huge"] = (put(key(name), 0xFFFFFFFF), [])
    GGUFS[f"{name}-2^63"] = (retype(key(name), 10, 1 << 63), [])
    GGUFS[f"{name}-text"] = (retype(key(name), 8, "8"), [key(name)])
    GGUFS[f"{name}-absent"] = (lambda d, name=name: d.drop(key(name)), [key(name)])


@pytest.fixture(scope="session")
def document(gpt_oss):
    return hostile_gguf.read(gpt_oss.models.gguf("Q8_0"))


@pytest.mark.parametrize("case", GGUFS)
def test_gguf(document, tmp_path, case):
    change, names = GGUFS[case]
    broken = copy.copy(document)
    broken.pairs = list(document.pairs)
    broken.tensors = [copy.copy(t) for t in document.tensors]
    change(broken)
    path = tmp_path / "broken.gguf"
    hostile_gguf.write(broken, path)
    fails("inspect", path, names=["broken.gguf", *names])
    fails("run", path, "--raw", "--prompt", "x", "--max-tokens", "1",
          names=["broken.gguf", *names])
    fails("quantize", path, "--method", "Q8_0", "--allow-requantize", "--output",
          tmp_path / "out.gguf", names=["broken.gguf", *names])
    path.unlink()
