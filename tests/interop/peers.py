"""The peers behind one small interface: llama.cpp, mlx-lm and ggml's own quantizer."""

import contextlib
import ctypes
import functools
import math
import os
import pathlib

import gguf
import llama_cpp
import mlx.core as mx
import numpy as np
from mlx_lm import utils as mlx_utils
from mlx_lm.models.cache import make_prompt_cache

FTYPES = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16,
    "Q4_K_M": 15, "Q4_K_S": 14, "Q3_K_L": 13, "Q3_K_M": 12, "Q3_K_S": 11, "Q2_K": 10,
    "Q2_K_S": 21, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "IQ4_NL": 25, "MXFP4_MOE": 38,
    "IQ4_XS": 30, "IQ3_M": 27, "IQ3_S": 26, "IQ3_XS": 22, "IQ3_XXS": 23, "IQ2_M": 29, "IQ2_S": 28,
    "IQ2_XS": 20, "IQ2_XXS": 19, "IQ1_M": 31, "IQ1_S": 24, "TQ2_0": 37, "TQ1_0": 36,
}
# Refused by llama.cpp without a matrix.
NEEDS_IMPORTANCE = {"Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M",
                    "IQ1_S"}

_log_lines = []


@llama_cpp.llama_log_callback
def _keep_log(level, text, user_data):
    _log_lines.append(text.decode(errors="replace"))


llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))


@contextlib.contextmanager
def _explain(what):
    """Errors of llama.cpp are only in its log."""
    _log_lines.clear()
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{what}: {error}\n{''.join(_log_lines[-15:])}") from error


# --- llama.cpp -----------------------------------------------------------------------------------


@contextlib.contextmanager
def llama_model(path, n_ctx=512, vocab_only=False):
    with _explain(f"llama.cpp loads {path}"):
        model = llama_cpp.Llama(str(path), n_ctx=n_ctx, n_batch=n_ctx, logits_all=True, type_k=0,
                                type_v=0, flash_attn=False, verbose=False, n_threads=2,
                                n_threads_batch=2, vocab_only=vocab_only)
    try:
        yield model
    finally:
        model.close()
        llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))


def llama_logits(path, chunks):
    """Logits of every position, each chunk of ids from an empty cache: [tokens][vocab]."""
    chunks = [[int(t) for t in chunk] for chunk in chunks]
    with llama_model(path, max(len(c) for c in chunks)) as model:
        out = []
        for chunk in chunks:
            model.reset()
            model.eval(chunk)
            out.append(np.array(model.scores[:len(chunk)], np.float32))
    return np.concatenate(out)


def llama_tokenize(model, text, special):
    raw = text.encode()
    ids = (ctypes.c_int32 * (len(raw) + 16))()
    vocab = llama_cpp.llama_model_get_vocab(model.model)
    count = llama_cpp.llama_tokenize(vocab, raw, len(raw), ids, len(ids), False, special)
    assert count >= 0, "llama_tokenize failed"
    return list(ids[:count])


class _ImatrixEntry(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)),
                ("size", ctypes.c_size_t)]


class _TensorOverride(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("type", ctypes.c_int)]


def _flat_importance(path):
    """A matrix of ones for every weight; the list ends with a null name."""
    entries, kept = [], []
    for tensor in gguf.GGUFReader(path).tensors:
        if len(tensor.shape) < 2:
            continue
        ones = np.ones(int(np.prod(tensor.shape)) // int(tensor.shape[1]), np.float32)
        kept.append(ones)
        entries.append(_ImatrixEntry(tensor.name.encode(),
                                     ones.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                                     ones.size))
    entries.append(_ImatrixEntry(None, None, 0))
    return (_ImatrixEntry * len(entries))(*entries), kept


def read_imatrix(path):
    """{weight: (sums [matrices][columns], counts [matrices])} of the GGUF form, as llama-quantize
    pairs them."""
    tensors = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(path).tensors}
    found = {}
    for name, sums in tensors.items():
        if name.endswith(".in_sum2"):
            weight = name.removesuffix(".in_sum2")
            counts = tensors[f"{weight}.counts"].reshape(-1)
            found[weight] = sums.reshape(len(counts), -1), counts
    assert 2 * len(found) == len(tensors)
    return found


def _importance(path):
    """What llama-quantize hands to the library: means, ones for an expert that saw nothing."""
    entries, kept = [], []
    for name, (sums, counts) in read_imatrix(path).items():
        seen = counts[:, None] > 0
        means = np.where(seen, sums / np.where(seen, counts[:, None], 1), 1)
        means = np.ascontiguousarray(means, np.float32).reshape(-1)
        kept.append(means)
        entries.append(_ImatrixEntry(name.encode(),
                                     means.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
                                     means.size))
    entries.append(_ImatrixEntry(None, None, 0))
    return (_ImatrixEntry * len(entries))(*entries), kept


def llama_quantize(source, target, method, types=(), allow_requantize=False, dry_run=False,
                   imatrix=None, flat=None):
    """llama-quantize, without a matrix wherever it runs without one, unless one is given (its GGUF
    form). `flat`: one of ones where it needs one, as when it is no dry run. `types`: (pattern, type) pairs as --tensor-type takes them. Returns its log."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FTYPES[method]
    params.nthread = 2
    params.allow_requantize = allow_requantize
    params.dry_run = dry_run
    fields = dict(llama_cpp.llama_model_quantize_params._fields_)
    if imatrix is not None:
        entries, kept = _importance(imatrix)
        params.imatrix = ctypes.cast(entries, fields["imatrix"])
    elif method in NEEDS_IMPORTANCE and (not dry_run if flat is None else flat):
        entries, kept = _flat_importance(source)
        params.imatrix = ctypes.cast(entries, fields["imatrix"])
    if types:
        overrides = [(pattern.encode(), int(gguf.GGMLQuantizationType[name]))
                     for pattern, name in types]
        overrides = (_TensorOverride * (len(overrides) + 1))(*overrides, (None, 0))
        params.tt_overrides = ctypes.cast(overrides, fields["tt_overrides"])
    _log_lines.clear()
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(),
                                            ctypes.byref(params))
    assert status == 0, f"llama_model_quantize {method}:\n{''.join(_log_lines[-15:])}"
    return "".join(_log_lines)


@functools.cache
def _ggml():
    folder = pathlib.Path(llama_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(folder / "libggml-base.so"))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
                                            ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                                            ctypes.c_void_p]
    return library


def ggml_quantize(values, dtype, importance=None):
    """What llama.cpp's quantizer makes of float32 rows: packed bytes. `importance` has one weight a
    column; with none given it uses its own heuristics."""
    rows, width = values.shape
    values = np.ascontiguousarray(values, np.float32)
    block, size = gguf.GGML_QUANT_SIZES[dtype]
    out = np.zeros((rows, width // block * size), np.uint8)
    written = _ggml().ggml_quantize_chunk(int(dtype), values.ctypes.data, out.ctypes.data, 0, rows,
                                          width, None if importance is None else
                                          np.ascontiguousarray(importance, np.float32).ctypes.data)
    assert written == out.nbytes
    return out


# --- mlx-lm --------------------------------------------------------------------------------------


def to_float32(array):
    return array.astype(mx.float32) if array.dtype in (mx.bfloat16, mx.float16) else array


def mlx_model(folder):
    """Stock mlx-lm, everything in float32; packed codes stay as they are."""
    model, _ = mlx_utils.load_model(pathlib.Path(folder))
    model.apply(to_float32)
    model.eval()
    return model


def exact_yarn(model, config):
    """Takes mlx-lm's rounding out of a YaRN range: what `truncate: false` asks for."""
    scaling, dims = config["rope_scaling"], config["head_dim"]
    assert scaling["rope_type"] == "yarn" and not scaling["truncate"]
    base, length = config["rope_theta"], scaling["original_max_position_embeddings"]

    def pair(turns):
        return dims * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(pair(scaling["beta_fast"]), 0), min(pair(scaling["beta_slow"]), dims - 1)
    ramp = np.clip((np.arange(dims // 2) - low) / (high - low), 0, 1)
    wavelength = base ** (np.arange(0, dims, 2) / dims)
    frequency = (1 - ramp) / wavelength + ramp / (scaling["factor"] * wavelength)
    for layer in model.layers:
        before = np.array(layer.self_attn.rope._freqs)
        layer.self_attn.rope._freqs = mx.array((1 / frequency).astype(np.float32))
        assert before.shape == frequency.shape
    return model


def mlx_logits(model, chunks):
    """As llama_logits; `model` is a folder or a model that is loaded already."""
    if not hasattr(model, "apply"):
        model = mlx_model(model)
    out = []
    for chunk in chunks:
        logits = model(mx.array([[int(t) for t in chunk]]))[0]
        mx.eval(logits)
        out.append(np.array(logits.astype(mx.float32)))
    return np.concatenate(out)


def mlx_greedy(model, ids, count):
    """The likeliest token `count` times, each through the cache."""
    cache, out, given = make_prompt_cache(model), [], ids
    for _ in range(count):
        logits = model(mx.array([[int(t) for t in given]]), cache=cache)[0, -1]
        out.append(int(mx.argmax(logits)))
        given = out[-1:]
    return out


def mlx_dequantize_mxfp4(weight, scales):
    """float32; every value has an exact form."""
    out = mx.dequantize(weight, scales, group_size=32, bits=4, mode="mxfp4", dtype=mx.float32)
    return np.array(out, np.float32)


def mlx_dequantize(weight, scales, biases, bits, group):
    """float32, from float32 scales and biases."""
    out = mx.dequantize(weight, scales.astype(mx.float32), biases.astype(mx.float32),
                        group_size=group, bits=bits)
    return np.array(out, np.float32)


def mlx_quantize_error(values, bits, group, dtype=mx.bfloat16):
    """Sum of squared errors of mx.quantize on rows that a checkpoint has in `dtype`."""
    packed = mx.quantize(mx.array(values).astype(dtype), group_size=group, bits=bits)
    back = mlx_dequantize(*packed, bits, group)
    return float(((back.astype(np.float64) - values) ** 2).sum())


# --- comparison ----------------------------------------------------------------------------------


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def kl_by_position(ours, theirs, step=512):
    """KL(ours || theirs) in nats at every position."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    assert np.isfinite(ours).all() and np.isfinite(theirs).all()
    out = []
    for first in range(0, len(ours), step):
        p, q = log_softmax(ours[first:first + step]), log_softmax(theirs[first:first + step])
        out.append((np.exp(p) * (p - q)).sum(axis=1))
    return np.concatenate(out)


def mean_kl(ours, theirs):
    """Mean over positions of KL(ours || theirs) in nats."""
    return float(kl_by_position(ours, theirs).mean())


def split(ids, size):
    """Whole chunks of `size`; what is left over is dropped."""
    return [ids[i:i + size] for i in range(0, len(ids) - size + 1, size)]
