"""Generated weights with the statistics of trained ones, as fast as a disk writes.

Rows are slices of one bank of 16 million Gaussian values, each from a place of its own within a
matrix and with a random sign: any statistic over blocks is that of independent values.
"""

import zlib

import numpy as np

from .architectures import FP8_BLOCK, MX_BLOCK
from .number_formats import (E2M1, FP8, FP8_MAX, blocks_of, encode_mxfp4, to_e2m1, to_fp8)

BANK_VALUES = (1 << 24) + 1
BLOCK_BYTES = 32 << 20
OUTLIER_CHANNELS = 4  # per norm
FP8_DEVIATION = FP8_MAX / 5.5  # of the codes: the largest of 16 million Gaussian values just fits


class Generator:
    """Values of a tensor by its name; nothing depends on the order of calls."""

    def __init__(self, seed, dtype, scale_dtype, specs):
        self.seed, self.dtype, self.scale_dtype = seed, dtype, scale_dtype
        self.bank = np.random.default_rng(seed).standard_normal(BANK_VALUES, np.float32)
        self.scaled = {deviation: dtype.encode(self.bank * np.float32(deviation))
                       for deviation in sorted({s.deviation() for s in specs if s.kind in
                                                ("matrix", "transposed", "embedding")})}
        kinds = {s.kind for s in specs}
        if "fp8" in kinds:
            self.fp8 = np.concatenate([to_fp8(part * np.float32(FP8_DEVIATION))
                                       for part in np.array_split(self.bank, 16)])
        if "mxfp4" in kinds:
            parts = [encode_mxfp4(p.reshape(-1, MX_BLOCK))
                     for p in np.array_split(self.bank[:-1], 16)]
            self.mx_blocks, self.mx_scales = (np.concatenate([p[i].reshape(-1, *p[i].shape[2:])
                                                              for p in parts]) for i in (0, 1))

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def gains(self, norm, width):
        """The outlier channels of a norm, and how many times larger each is."""
        rng = self.rng(norm + " outliers")
        count = min(OUTLIER_CHANNELS, width // 16)
        return rng.choice(width, count, replace=False), rng.uniform(4, 16, count).astype(np.float32)

    def vector(self, spec):
        values = self.rng(spec.name).standard_normal(spec.shape, np.float32)
        if spec.kind == "bias":
            values *= np.float32(0.05)
        elif spec.kind != "sink":
            values = 1 + values * np.float32(0.05)
        if spec.kind == "norm":
            channels, gains = self.gains(spec.name, spec.shape[0])
            values[channels] *= gains
        return self.dtype.encode(values)

    def matrix(self, spec):
        """Pieces of a matrix in the order of its bytes."""
        width, bank = spec.shape[-1], self.scaled[spec.deviation()]
        windows = np.lib.stride_tricks.sliding_window_view(bank, width)
        channels, gains = self._outliers(spec)
        for block, flip, first in self._rows(spec, windows, width * bank.itemsize):
            if block.dtype == np.uint16:
                block[flip] ^= 0x8000
            else:
                block[flip] *= -1
            for channel, gain in zip(channels, gains):
                place = ((slice(None), channel) if spec.kind != "transposed" else
                         slice((channel - first) % spec.shape[-2], None, spec.shape[-2]))
                block[place] = self.dtype.encode(self.dtype.decode(block[place]) / gain)
            yield block

    def fp8_codes(self, spec):
        windows = np.lib.stride_tricks.sliding_window_view(self.fp8, spec.shape[-1])
        channels, gains = self._outliers(spec)
        for block, flip, _ in self._rows(spec, windows, spec.shape[-1]):
            block[flip] ^= 0x80
            for channel, gain in zip(channels, gains):
                block[:, channel] = to_fp8(FP8[block[:, channel]] / gain)
            yield block

    def fp8_scales(self, spec):
        """Blocks differ in size as those of trained weights do."""
        scales = self.rng(spec.name + "_scale_inv").uniform(0.8, 1.2, blocks_of(spec.shape))
        scales = scales * spec.deviation() / FP8_DEVIATION
        return self.scale_dtype.encode(scales.astype(np.float32))

    def mx_codes(self, spec):
        channels, gains = self._outliers(spec)
        for block, flip, _ in self._mx_rows(spec, self.mx_blocks, 16):
            block[flip] ^= 0x88
            for channel, gain in zip(channels, gains):
                at, low = (slice(None), channel // 32, channel % 32 // 2), channel % 2 == 0
                smaller = to_e2m1(E2M1 / gain)
                codes = block[at]
                block[at] = (codes & 0xF0 | smaller[codes & 15] if low else
                             codes & 0x0F | smaller[codes >> 4] << 4)
            yield block

    def mx_exponents(self, spec):
        shift = np.uint8(round(np.log2(spec.deviation())) % 256)
        for block, _, _ in self._mx_rows(spec, self.mx_scales, 1):
            yield block + shift

    def _outliers(self, spec):
        return self.gains(spec.after, spec.inputs()) if spec.after else ([], [])

    def _mx_rows(self, spec, bank, itemsize):
        """Whole blocks at a time; codes and exponents of a row come from the same place."""
        blocks = spec.shape[-1] // MX_BLOCK
        windows = np.lib.stride_tricks.sliding_window_view(bank, blocks, axis=0)
        if bank.ndim == 2:
            windows = windows.swapaxes(1, 2)
        # Pieces of the same rows for both, though their bytes differ.
        return self._rows(spec, windows, blocks * 16)

    def _rows(self, spec, windows, row_bytes):
        """(rows, which of them are negated, number of the first)."""
        count = int(np.prod(spec.shape[:-1]))
        rng = self.rng(spec.name)
        starts = rng.choice(len(windows) - 1, count, replace=count > len(windows) - 1)
        signs = rng.integers(0, 2, count, np.uint8).astype(bool)
        step = max(1, BLOCK_BYTES // row_bytes)
        for first in range(0, count, step):
            yield windows[starts[first:first + step]], signs[first:first + step], first
