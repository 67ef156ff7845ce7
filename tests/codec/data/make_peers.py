"""Writes the peers' figures that the codec tests compare with. Run in tests/codec/data:

  python make_peers.py      (gguf 0.19.0, mlx 0.32.4, llama-cpp-python 0.3.36, numpy)

decode.bin      random stored bytes and what the peer's dequantize makes of them: records of a
                text line `type bits group rows cols bytes0 bytes1 bytes2`, the planes, the floats.
stock_rmse.txt  `type bits group sample rmse`: the error, in % of the weights' root mean square, of
                llama.cpp's quantizer (no importance matrix) and of mlx.core.quantize on the weights
                that tests/codec/sample_weights.h makes; the two generators must stay equal.
"""

import ctypes
import glob
import os

import llama_cpp
import mlx.core as mx
import numpy as np
from gguf import GGMLQuantizationType, quants

mx.set_default_device(mx.cpu)

# name: (columns, bytes, offsets of the F16 fields) of a block
GGUF = {
    "Q4_0": (32, 18, [0]), "Q4_1": (32, 20, [0, 2]), "Q5_0": (32, 22, [0]),
    "Q5_1": (32, 24, [0, 2]), "Q8_0": (32, 34, [0]), "Q2_K": (256, 84, [80, 82]),
    "Q3_K": (256, 110, [108]), "Q4_K": (256, 144, [0, 2]), "Q5_K": (256, 176, [0, 2]),
    "Q6_K": (256, 210, [208]), "MXFP4": (32, 17, []),
}
# Those that came later, so that the random numbers of the others stay.
LATER = {"IQ4_NL": (32, 18, [0])}
LAST = {
    "IQ4_XS": (256, 136, [0]), "IQ3_S": (256, 110, [0]), "IQ3_XXS": (256, 98, [0]),
    "IQ2_S": (256, 82, [0]), "IQ2_XS": (256, 74, [0]), "IQ2_XXS": (256, 66, [0]),
    "IQ1_M": (256, 56, None), "IQ1_S": (256, 50, [0]), "TQ1_0": (256, 54, [52]),
    "TQ2_0": (256, 66, [64]),
}
NEED_IMPORTANCE = ("IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
SMALL_FLOATS = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
SCALES = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}
AFFINE = [(bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
SAMPLES = ("gauss", "heavy", "outlier")
ROWS, COLS = 16, 3584


def raw(array):
    """The bytes of an MLX array of any type."""
    width = mx.uint32 if array.dtype.size == 4 else mx.uint16
    return np.array(array.view(width)).tobytes()


def write_record(out, name, bits, group, planes, values):
    sizes = [len(p) for p in planes] + [0] * (3 - len(planes))
    rows, cols = values.shape
    out.write(f"{name} {bits} {group} {rows} {cols} {sizes[0]} {sizes[1]} {sizes[2]}\n".encode())
    for plane in planes:
        out.write(plane)
    out.write(values.astype("<f4").tobytes())


def write_gguf_records(out, rng, formats):
    for name, (block, size, halves) in formats.items():
        cols = 512
        blocks = rng.integers(0, 256, (2 * cols // block, size), dtype=np.uint8)
        for at in [None] if halves is None else halves:  # finite, of both signs, subnormals among them
            half = (rng.standard_normal(len(blocks)) * 10.0 ** rng.integers(-7, 3, len(blocks)))
            half = half.astype("<f2").view(np.uint8).reshape(-1, 2)
            if at is None:  # IQ1_M: four bits each in the high halves of every other byte
                nibbles = np.stack([half[:, i // 2] >> (i % 2 * 4) & 15 for i in range(4)], 1)
                blocks[:, 49::2] = blocks[:, 49::2] & 15 | nibbles << 4
            else:
                blocks[:, at:at + 2] = half
        stored = blocks.reshape(2, -1)
        values = quants.dequantize(stored, GGMLQuantizationType[name])
        write_record(out, name, 0, 0, [stored.tobytes()], values)


def write_decode(path):
    rng = np.random.default_rng(20261123)
    with open(path, "wb") as out:
        write_gguf_records(out, rng, GGUF)
        for bits, group in AFFINE:
            for scale_type, dtype in SCALES.items():
                rows, cols = 2, 128
                codes = rng.integers(0, 2**32, (rows, cols * bits // 32), dtype=np.uint32)
                scales, biases = (mx.array(rng.standard_normal((rows, cols // group)))
                                  .astype(dtype) for _ in range(2))
                values = mx.dequantize(mx.array(codes), scales.astype(mx.float32),
                                       biases.astype(mx.float32), group_size=group, bits=bits)
                planes = [codes.tobytes(), raw(scales), raw(biases)]
                write_record(out, scale_type, bits, group, planes, np.array(values))
        write_gguf_records(out, rng, LATER)
        write_gguf_records(out, rng, LAST)
        w = np.ascontiguousarray(sample("heavy")[:2, :256])
        for name in LAST:  # what llama.cpp's own quantizer writes
            stored = stock_bytes(ggml(), name, w)
            values = quants.dequantize(stored, GGMLQuantizationType[name])
            write_record(out, name, 0, 0, [stored.tobytes()], values)
        write_small_float_records(out)


def write_small_float_records(out):
    """Any bytes that are numbers, and what mlx.core.quantize writes."""
    rng = np.random.default_rng(20261127)
    w = mx.array(np.ascontiguousarray(sample("heavy")[:2, :256]))
    for name, (bits, group) in SMALL_FLOATS.items():
        rows, cols = 2, 2048
        codes = rng.integers(0, 256, (rows, cols * bits // 8), dtype=np.uint8)
        scales = rng.integers(0, 255, (rows, cols // group), dtype=np.uint8)
        for numbers in (scales,) if name == "nvfp4" else (codes,) if name == "mxfp8" else ():
            numbers[numbers & 127 == 127] -= 1  # E4M3's NaN
        for q, s in ((codes.view(np.uint32), scales), mx.quantize(w, mode=name)):
            values = mx.dequantize(mx.array(q), mx.array(s), group_size=group, bits=bits, mode=name,
                                   dtype=mx.float32)
            planes = [np.array(q).tobytes(), np.array(s).tobytes()]
            write_record(out, name, bits, group, planes, np.array(values))


def uniform(count, seed):
    """SplitMix64, top 24 bits, as in sample_weights.h."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


def bf16(values):
    return np.array(mx.array(values.astype(np.float32)).astype(mx.bfloat16).astype(mx.float32))


def sample(kind):
    """Sums of twelve uniforms; `heavy` divides by another uniform's root, `outlier` has columns."""
    u = uniform(13 * ROWS * COLS, 1).reshape(-1, 13)
    total = np.zeros(len(u))
    for i in range(12):
        total = total + u[:, i]
    w = (total - 6.0) * 0.03
    if kind == "heavy":
        w = w / np.sqrt(0.05 + u[:, 12])
    w = w.reshape(ROWS, COLS)
    if kind == "outlier":
        w[:, 13::97] = w[:, 13::97] * 12.0
    return bf16(w)


def ggml():
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    lib = ctypes.CDLL(sorted(glob.glob(os.path.join(folder, "libggml-base.so*")))[0])
    i64, pointer = ctypes.c_int64, ctypes.c_void_p
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, i64, i64, i64, pointer]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    return lib


def stock_bytes(lib, name, w):
    block, size, _ = (GGUF | LATER | LAST)[name]
    out = np.zeros((w.shape[0], w.shape[1] // block * size), np.uint8)
    ones = np.ones(w.shape[1], np.float32)  # without a matrix these stop the process
    importance = ones.ctypes.data if name in NEED_IMPORTANCE else None
    lib.ggml_quantize_chunk(int(GGMLQuantizationType[name]), w.ctypes.data, out.ctypes.data, 0,
                            w.shape[0], w.shape[1], importance)
    return out


def stock_gguf(lib, name, w):
    return quants.dequantize(stock_bytes(lib, name, w), GGMLQuantizationType[name])


def stock_mlx(bits, group, scale_type, w):
    parts = mx.quantize(mx.array(w).astype(SCALES[scale_type]), group_size=group, bits=bits)
    codes, scales, biases = parts
    return np.array(mx.dequantize(codes, scales.astype(mx.float32), biases.astype(mx.float32),
                                  group_size=group, bits=bits))


def stock_small_float(name, w):
    return np.array(mx.dequantize(*mx.quantize(mx.array(w), mode=name), mode=name,
                                  dtype=mx.float32))


def error(w, decoded):
    difference = decoded.astype(np.float64) - w
    return 100.0 * np.sqrt((difference**2).sum() / (w.astype(np.float64) ** 2).sum())


def write_rmse(path):
    lib = ggml()
    with open(path, "w") as out:
        for kind in SAMPLES:
            w = np.ascontiguousarray(sample(kind))
            for name in GGUF | LATER | LAST:
                out.write(f"{name} 0 0 {kind} {error(w, stock_gguf(lib, name, w)):.6f}\n")
            for bits, group in AFFINE:
                for scale_type in SCALES:
                    stock = error(w, stock_mlx(bits, group, scale_type, w))
                    out.write(f"{scale_type} {bits} {group} {kind} {stock:.6f}\n")
            for name, (bits, group) in SMALL_FLOATS.items():
                out.write(f"{name} {bits} {group} {kind} {error(w, stock_small_float(name, w)):.6f}\n")


if __name__ == "__main__":
    write_decode("decode.bin")
    write_rmse("stock_rmse.txt")
