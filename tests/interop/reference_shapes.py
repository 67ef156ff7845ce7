"""GGUF files of any size without their data: a header, and a hole where the weights would be. Enough
for llama-quantize's dry run, which says what type it gives each tensor of the published models."""

import math
import re

import effort
import gguf
import numpy as np
import peers
import reference_gguf
from checkpoint.architectures import specs_of

F32, BF16, MXFP4 = (gguf.GGMLQuantizationType[n] for n in ("F32", "BF16", "MXFP4"))


def gguf_shapes(config):
    """{name: shape} of every tensor, PyTorch order, experts stacked, gate and up apart."""
    form = {"qwen3_moe": "fused", "gpt_oss": "mxfp4"}.get(config["model_type"], "plain")
    out = {}
    for spec in specs_of(config, form):
        if ".experts." not in spec.name:
            name = reference_gguf.gguf_name(spec.name)
            if config["model_type"] == "gpt_oss":
                name = name.replace("ffn_norm", "post_attention_norm")
            out[name] = spec.shape
            continue
        layer = spec.name.split(".")[2]
        kind = "bias" if spec.name.endswith("_bias") else "weight"
        if "gate_up_proj" in spec.name:
            half = (spec.shape[0], spec.shape[1] // 2, *spec.shape[2:])
            out |= {f"blk.{layer}.ffn_{part}_exps.{kind}": half for part in ("gate", "up")}
        else:
            out[f"blk.{layer}.ffn_down_exps.{kind}"] = spec.shape
    return out


def stored_type(name, shape, mxfp4):
    """As the converter stores it from a BF16 checkpoint."""
    if len(shape) == 1 or not name.endswith(".weight") or "ffn_gate_inp" in name:
        return F32
    return MXFP4 if mxfp4 and "_exps." in name else BF16


def nbytes(shape, dtype):
    block, size = gguf.GGML_QUANT_SIZES[dtype]
    assert shape[-1] % block == 0, (shape, dtype)
    return math.prod(shape) // block * size


def write(config, path, mxfp4=False):
    writer = gguf.GGUFWriter(str(path), reference_gguf.ARCHITECTURES[config["model_type"]])
    writer.add_type(gguf.GGUFType.MODEL)
    reference_gguf.add_hyperparameters(writer, config)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    total = 0
    for name, shape in gguf_shapes(config).items():
        dtype = stored_type(name, shape, mxfp4)
        size = nbytes(shape, dtype)
        writer.add_tensor_info(name, shape, np.dtype(np.float16), size, dtype)
        total += gguf.GGUFWriter.ggml_pad(size, gguf.GGUF_DEFAULT_ALIGNMENT)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with open(path, "r+b") as file:
        header = gguf.GGUFWriter.ggml_pad(file.seek(0, 2), gguf.GGUF_DEFAULT_ALIGNMENT)
        file.truncate(header + total)


_TENSOR = re.compile(r"\] +(\S+) +- \[[ \d,]+\], type = +(\w+), size = [^\n]*?(?:\((\w+)\))?\n")


def types_of_llama_quantize(source, scratch, method, **options):
    """{name: type} that it gives the tensors of an F32 file: of a dry run by day, of the file that it
    writes by night (it takes minutes over I-quants)."""
    target = scratch / "theirs.gguf"
    log = peers.llama_quantize(source, target, method, dry_run=not effort.THOROUGH, flat=True,
                               **options)
    if not effort.THOROUGH:
        return types_in_log(log)
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(target).tensors}


def types_in_log(text):
    """{name: type} of a dry run."""
    return {m[1]: (m[3] or m[2]).upper() for m in _TENSOR.finditer(text)}
