"""The number formats that checkpoints use, in numpy: bfloat16, E4M3 with block scales, MXFP4."""

from dataclasses import dataclass
from typing import Callable

import numpy as np

from .architectures import FP8_BLOCK, MX_BLOCK

FP8_MAX = 448.0
E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def to_bf16(values):
    """float32 -> bfloat16 bits, to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class Dtype:
    name: str  # as safetensors has it
    torch: str
    store: np.dtype
    encode: Callable
    decode: Callable


DTYPES = {
    "bf16": Dtype("BF16", "bfloat16", np.dtype(np.uint16), to_bf16, from_bf16),
    "f16": Dtype("F16", "float16", np.dtype(np.float16), lambda x: x.astype(np.float16),
                 lambda x: x.astype(np.float32)),
    "f32": Dtype("F32", "float32", np.dtype(np.float32), lambda x: x.astype(np.float32),
                 lambda x: x),
}


def _fp8_values():
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    values = np.where(exponent > 0, (1 + mantissa / 8) * 2.0 ** (exponent - 7),
                      mantissa / 8 * 2.0 ** -6)
    values[(codes & 127) == 127] = np.nan
    return np.where(codes > 127, -values, values).astype(np.float32)


FP8 = _fp8_values()
_FP8_MIDDLES = (FP8[:126].astype(np.float64) + FP8[1:127]) / 2


def to_fp8(values):
    """float32 -> E4M3 codes: to nearest, ties to even, saturating."""
    size = np.abs(values).astype(np.float64)
    code = np.searchsorted(_FP8_MIDDLES, size, side="left")
    tie = (code < 126) & (size == _FP8_MIDDLES[np.minimum(code, 125)])
    code = np.where(tie & (code % 2 == 1), code + 1, code)
    return (code | np.signbit(values) << 7).astype(np.uint8)


def blocks_of(shape):
    return tuple(-(-n // FP8_BLOCK) for n in shape)


def expand(scales, shape):
    """One scale a 128x128 block -> one a weight."""
    whole = np.repeat(np.repeat(scales, FP8_BLOCK, axis=0), FP8_BLOCK, axis=1)
    return whole[:shape[0], :shape[1]]


def encode_fp8(values, scale_dtype):
    """Rows -> (codes, scale_inv as float32, rounded to `scale_dtype`)."""
    scales = np.ones(blocks_of(values.shape), np.float32)
    for r, c in np.ndindex(scales.shape):
        block = values[r * FP8_BLOCK:(r + 1) * FP8_BLOCK, c * FP8_BLOCK:(c + 1) * FP8_BLOCK]
        scales[r, c] = max(np.abs(block).max(), 1e-12) / FP8_MAX
    scales = scale_dtype.decode(scale_dtype.encode(scales))
    return to_fp8(values / expand(scales, values.shape)), scales


def decode_fp8(codes, scales):
    return FP8[codes] * expand(scales, codes.shape)


def decode_mxfp4(blocks, scales):
    """[..., n/32, 16] and [..., n/32] -> float32 [..., n]."""
    values = np.stack([E2M1[blocks & 15], E2M1[blocks >> 4]], axis=-1)
    values = values.reshape(*blocks.shape[:-1], MX_BLOCK)
    values = values * np.exp2(scales.astype(np.float32) - 127)[..., None]
    return values.reshape(*blocks.shape[:-2], -1)


def to_e2m1(values):
    """float32 -> codes: to nearest, ties to even."""
    size = np.abs(values)
    code = np.zeros(values.shape, np.uint8)
    for middle, inclusive in ((.25, False), (.75, True), (1.25, False), (1.75, True), (2.5, False),
                              (3.5, True), (5, False)):
        code += size >= middle if inclusive else size > middle
    return code | (np.signbit(values) << 3).astype(np.uint8)


def encode_mxfp4(values):
    """float32 [..., n] -> (blocks, scales). Values that have an exact form get it."""
    groups = np.ascontiguousarray(values, np.float32).reshape(*values.shape[:-1], -1, MX_BLOCK)
    largest = np.abs(groups).max(axis=-1)
    _, exponent = np.frexp(largest)  # largest = m * 2^exponent, m in [0.5, 1)
    exponent = np.where(largest > 0, np.clip(exponent - 3, -127, 127), -127)
    codes = to_e2m1(groups * np.exp2(-exponent.astype(np.float64))[..., None])
    return codes[..., ::2] | codes[..., 1::2] << 4, (exponent + 127).astype(np.uint8)
