#!/usr/bin/env python3
"""Writes src/codec/codebook_tables.h: the codebooks of the I-quants, which are data of the format.

  python tools/make_codebooks.py > src/codec/codebook_tables.h      (gguf 0.19.0, MIT)

An entry sets 4 or 8 columns; each is a level's number of 2 or 3 bits, the first column lowest.
"""

import textwrap

from gguf import quants

# name here: class of gguf.quants, what the table is of
BOOKS = {
    "kIq2XxsBook": ("IQ2_XXS", "IQ2_XXS: 8 columns"),
    "kIq2XsBook": ("IQ2_XS", "IQ2_XS: 8 columns"),
    "kIq2SBook": ("IQ2_S", "IQ2_S: 8 columns"),
    "kIq3XxsBook": ("IQ3_XXS", "IQ3_XXS: 4 columns"),
    "kIq3SBook": ("IQ3_S", "IQ3_S: 4 columns"),
    "kIq1Book": ("IQ1_S", "IQ1_S and IQ1_M: 8 columns"),
}

HEAD = '''\
// The codebooks of the I-quants. Written by tools/make_codebooks.py from the gguf Python package
// (gguf.quants of llama.cpp, MIT); do not edit. An entry is 4 or 8 columns, each the number of a
// level in 2 or 3 bits, the first column lowest; entries ascend.
#pragma once

#include <cstdint>

namespace pajamas::codec {
'''


def packed(name):
    book = getattr(quants, name)
    book.init_grid()
    number = {level: i for i, level in enumerate(book.grid_map)}
    bits = 2 if len(number) <= 4 else 3
    entries = [sum(number[int(level)] << (bits * k) for k, level in enumerate(row))
               for row in book.grid.reshape(book.grid_shape)]
    assert entries == sorted(set(entries)), name
    return entries, book.grid_map, bits


def main():
    print(HEAD)
    for table, (name, what) in BOOKS.items():
        entries, levels, bits = packed(name)
        print(f"// {what} of {bits} bits; levels {', '.join(map(str, levels))}.")
        print(f"inline constexpr std::uint16_t {table}[{len(entries)}] = {{")
        lines = textwrap.fill(", ".join(str(e) for e in entries), 96)
        print(textwrap.indent(lines, "    ") + "};\n")
    print("}  // namespace pajamas::codec")


if __name__ == "__main__":
    main()
