"""The weights of a checkpoint whatever its form, as float32 under one set of names.

Plain names: those of the per-expert form for Qwen3-MoE; for gpt-oss `experts.gate_up_proj` and
`experts.down_proj` [E, outputs, inputs], gate and up rows interleaved as published.
"""

import re

import numpy as np

from . import files
from .architectures import specs_of
from .number_formats import (DTYPES, blocks_of, decode_fp8, decode_mxfp4, encode_fp8, encode_mxfp4)

_BY_NAME = {d.name: d for d in DTYPES.values()}


def form_of(config, names):
    if config["model_type"] == "gpt_oss":
        return "mxfp4" if any(n.endswith("_blocks") for n in names) else "bf16"
    if any(n.endswith("_scale_inv") for n in names):
        return "fp8"
    if config["model_type"] == "qwen3_moe":
        return "fused" if any(n.endswith("experts.gate_up_proj") for n in names) else "per-expert"
    return "plain"


def read_plain(folder):
    """{plain name: (dtype of the file, float32 array)}; FP8 and MXFP4 dequantized."""
    config = files.read_json(folder / "config.json")
    stored = files.read_tensors(folder)
    form = form_of(config, stored)
    out = {}
    for name, (dtype, bits) in stored.items():
        if name.endswith(("_scale_inv", "_scales")):
            continue
        if dtype == "F8_E4M3":
            kind, scales = stored[name + "_scale_inv"]
            out[name] = dtype, decode_fp8(bits, _BY_NAME[kind].decode(scales))
        elif name.endswith("_blocks"):
            base = name.removesuffix("_blocks")
            out[base] = "MXFP4", decode_mxfp4(bits, stored[base + "_scales"][1])
        elif form == "fused" and re.search(r"experts\.(gate_up|down)_proj$", name):
            out |= _unfused(name, dtype, _BY_NAME[dtype].decode(bits))
        elif form == "bf16" and re.search(r"experts\.\w+_proj$", name):
            out[name] = dtype, _BY_NAME[dtype].decode(bits).swapaxes(-1, -2)
        else:
            out[name] = dtype, _BY_NAME[dtype].decode(bits)
    return out


def _unfused(name, dtype, stack):
    at, _, projection = name.rpartition(".")
    for expert, matrix in enumerate(stack):
        parts = ({"gate": matrix[:len(matrix) // 2], "up": matrix[len(matrix) // 2:]}
                 if projection == "gate_up_proj" else {"down": matrix})
        for part, values in parts.items():
            yield f"{at}.{expert}.{part}_proj.weight", (dtype, values)


def _fused(name, plain):
    at, _, projection = name.rpartition(".")
    experts = range(sum(n.startswith(at + ".") and n.endswith(".down_proj.weight") for n in plain))

    def stack(part):
        return np.stack([plain[f"{at}.{e}.{part}_proj.weight"][1] for e in experts])

    if projection == "down_proj":
        return stack("down")
    return np.concatenate([stack("gate"), stack("up")], axis=1)


def write_form(folder, config, form, plain, dtype=None, scale_dtype="bf16", shard_size=1 << 62):
    """Files of a checkpoint of `form`. `dtype` (a key of DTYPES): None keeps that of each tensor,
    and gives weights that were FP8 or MXFP4 bfloat16."""
    tensors = []
    for spec in specs_of(config, form):
        fused = spec.name not in plain
        kind, values = ("BF16", _fused(spec.name, plain)) if fused else plain[spec.name]
        own = _BY_NAME.get(kind, DTYPES["bf16"]) if dtype is None else DTYPES[dtype]
        if spec.kind == "fp8":
            codes, scales = encode_fp8(values, DTYPES[scale_dtype])
            tensors += [_tensor(spec.name, "F8_E4M3", codes),
                        _tensor(spec.name + "_scale_inv", DTYPES[scale_dtype].name,
                                DTYPES[scale_dtype].encode(scales))]
            assert scales.shape == blocks_of(spec.shape)
        elif spec.kind == "mxfp4":
            blocks, exponents = encode_mxfp4(values)
            tensors += [_tensor(spec.name + "_blocks", "U8", blocks),
                        _tensor(spec.name + "_scales", "U8", exponents)]
        else:
            values = values.swapaxes(-1, -2) if spec.kind == "transposed" else values
            assert values.shape == spec.shape, (spec.name, values.shape, spec.shape)
            tensors.append(_tensor(spec.name, own.name, own.encode(values)))
    return files.write_checkpoint(folder, tensors, shard_size)


def _tensor(name, dtype, array):
    return files.Tensor(name, dtype, array.shape, lambda: [array])
