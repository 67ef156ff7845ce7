#!/usr/bin/env python3
"""Writes src/text/unicode_categories.cpp and src/text/unicode_sets.cpp.

The reference tokenizer has Unicode tables of its own, in two versions at once: those of its regex
engine (classes such as \\p{L}) and the older ones of its normalizer (NFC). Its answers are the
contract, so this script asks it about every code point instead of reading the Unicode database.

    pip install tokenizers==0.23.3
    tools/make_unicode_tables.py src/text
"""

import pathlib
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn"
).split()
SCRIPTS = "Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari".split()
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL_TEXT = "".join(map(chr, POINTS))


def matching(pattern):
    """The code points that a pattern of one character matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return {ord(piece) for piece, _ in split.pre_tokenize_str(ALL_TEXT)}


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def categories():
    """Every change of category, as start | index << 24."""
    category = {}
    for index, name in enumerate(CATEGORIES):
        points = range(0xD800, 0xE000) if name == "Cs" else matching(r"\p{%s}" % name)
        for c in points:
            assert c not in category, f"U+{c:04X} has two categories"
            category[c] = index
    for major in "LMNPSZ":
        expected = {c for c, i in category.items() if CATEGORIES[i][0] == major}
        assert matching(r"\p{%s}" % major) == expected, major
    assert matching(r"\d") == {c for c, i in category.items() if CATEGORIES[i] == "Nd"}
    out, last = [], None
    for c in range(0x110000):
        if category[c] != last:
            last = category[c]
            out.append(c | last << 24)
    return out


def normalizer_points():
    """Code points that NFC may change, move or combine; all others are copied and end a run."""
    nfd = normalizers.NFD().normalize_str
    active = set()
    for c in POINTS:
        char = chr(c)
        parts = nfd(char)
        if parts != char:
            active.add(c)
            if len(parts) > 1:
                active.update(map(ord, parts))
        elif nfd("a" + char + "\u0334") != "a" + char + "\u0334" or (
            nfd("\u0345" + char) != "\u0345" + char
        ):
            active.add(c)  # a combining class other than 0
    return active


def added_token_word_points():
    """Letters that keep an added token with `single_word` from matching (not quite \\w)."""
    probe = Tokenizer(models.BPE(vocab={}, merges=[]))
    probe.add_tokens([AddedToken("QQ", single_word=True, normalized=False)])
    return {c for c in POINTS if not probe.encode(chr(c) + "QQ").ids}


def lines(cells, width=100):
    line = "   "
    for cell in cells:
        if len(line) + len(cell) + 1 > width:
            yield line
            line = "   "
        line += " " + cell
    yield line


def array(kind, name, cells):
    return "\n".join([f"const {kind} {name}[] = {{", *lines(cells), "};"])


def range_cells(points):
    return [f"{{0x{a:X}, 0x{b:X}}}," for a, b in ranges(points)]


def write(path, body):
    head = (
        f"// Written by tools/make_unicode_tables.py from tokenizers {tokenizers.__version__};"
        " do not edit.\n// clang-format off\n"
        '#include "text/unicode_tables.h"\n\nnamespace pajamas::text::tables {\n\n'
    )
    path.write_text(head + "\n\n".join(body) + "\n\n}  // namespace pajamas::text::tables\n")


def span(kind, name, data):
    return f"const std::span<const {kind}> {name}{{{data}}};"


def main():
    folder = pathlib.Path(sys.argv[1])
    cells = [f"0x{v:X}," for v in categories()]
    write(
        folder / "unicode_categories.cpp",
        [
            "namespace {\n\n" + array("std::uint32_t", "kChanges", cells) + "\n\n}  // namespace",
            span("std::uint32_t", "kCategoryChanges", "kChanges"),
        ],
    )
    word = matching(r"\w")
    added = added_token_word_points()
    sets = {"Space": matching(r"\s"), "Word": word, "NfcActive": normalizer_points()}
    sets["WordButNotInAddedTokens"] = word - added
    sets["WordOnlyInAddedTokens"] = added - word
    for script in SCRIPTS:
        sets[script] = matching(r"\p{%s}" % script)
    data = [array("CodePointRange", f"k{n}Data", range_cells(s)) for n, s in sets.items()]
    spans = [span("CodePointRange", f"k{n}", f"k{n}Data") for n in sets if n not in SCRIPTS]
    scripts = ["const Script kScriptList[] = {"]
    scripts += [f'    {{"{n}", k{n}Data}},' for n in SCRIPTS]
    scripts += ["};"]
    anonymous = "namespace {\n\n" + "\n\n".join(data + ["\n".join(scripts)]) + "\n\n}  // namespace"
    write(
        folder / "unicode_sets.cpp",
        [anonymous, "\n".join(spans), span("Script", "kScripts", "kScriptList")],
    )


if __name__ == "__main__":
    main()
