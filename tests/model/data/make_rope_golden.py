#!/usr/bin/env python3
"""Writes rope_golden.inc: rotary frequencies by the formulas of Hugging Face transformers
(modeling_rope_utils.py: linear, yarn, llama3), written down once more in Python's float64.

    python3 make_rope_golden.py > rope_golden.inc
"""

import math

# name, kind, head_dim, theta, factor, original context, beta_fast, beta_slow, truncate, low, high
CASES = [
    ("gpt-oss", "Yarn", 64, 150000.0, 32.0, 4096, 32.0, 1.0, False, 1.0, 4.0),
    ("tiny gpt-oss", "Yarn", 64, 150000.0, 4.0, 128, 32.0, 1.0, False, 1.0, 4.0),
    ("rounded range", "Yarn", 128, 1e6, 4.0, 32768, 32.0, 1.0, True, 1.0, 4.0),
    ("range of no width", "Yarn", 64, 1e4, 8.0, 4, 32.0, 32.0, True, 1.0, 4.0),
    ("Llama 3.1", "Llama3", 128, 5e5, 8.0, 8192, 32.0, 1.0, True, 1.0, 4.0),
    ("linear", "Linear", 96, 1e4, 2.5, 2048, 32.0, 1.0, True, 1.0, 4.0),
    ("plain", "None", 80, 1e4, 1.0, 2048, 32.0, 1.0, True, 1.0, 4.0),
]


def yarn(dim, theta, factor, original, beta_fast, beta_slow, truncate):
    def correction_dim(rotations):
        return dim * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = correction_dim(beta_fast), correction_dim(beta_slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    out = []
    for i in range(dim // 2):
        extrapolated = 1.0 / theta ** (2 * i / dim)
        interpolated = 1.0 / (factor * theta ** (2 * i / dim))
        keep = 1 - min(1.0, max(0.0, (i - low) / (high - low)))
        out.append(interpolated * (1 - keep) + extrapolated * keep)
    return out


def llama3(dim, theta, factor, original, low_freq_factor, high_freq_factor):
    low_wavelength, high_wavelength = original / low_freq_factor, original / high_freq_factor
    out = []
    for i in range(dim // 2):
        frequency = 1.0 / theta ** (2 * i / dim)
        wavelength = 2 * math.pi / frequency
        if wavelength > low_wavelength:
            frequency /= factor
        elif wavelength >= high_wavelength:
            smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor)
            frequency = (1 - smooth) * frequency / factor + smooth * frequency
        out.append(frequency)
    return out


def frequencies(kind, dim, theta, factor, original, fast, slow, truncate, low, high):
    if kind == "Yarn":
        return yarn(dim, theta, factor, original, fast, slow, truncate)
    if kind == "Llama3":
        return llama3(dim, theta, factor, original, low, high)
    return [1.0 / (theta ** (2 * i / dim) * factor) for i in range(dim // 2)]


print("// Written by make_rope_golden.py.")
for name, *case in CASES:
    kind, dim, theta, factor, original, fast, slow, truncate, low, high = case
    print(f'{{"{name}", RopeScaling::Kind::k{kind}, {dim}, {theta}, {factor}, {original}, {fast}, {slow}, '
          f"{str(truncate).lower()}, {low}, {high},\n {{")
    for value in frequencies(*case):
        print(f"  {value!r},")
    print("}},")
