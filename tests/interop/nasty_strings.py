"""Strings that tokenizers disagree about: the same ones for the same count and seed, everywhere."""

import json
import random
import sys
import unicodedata

SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u1680"]
SPACES += ["\u180e", "\u2000", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f"]
SPACES += ["\u205f", "\u2060", "\u3000", "\ufeff", "\u200c", "\u200d", " \n ", "\n\r", "   \t"]
CONTRACTIONS = ["'s", "'S", "'\u017f", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'Ve", "'m", "'M"]
CONTRACTIONS += ["'ll", "'LL", "'lL", "'d", "'D", "'x", "\u2019s", "''s", "'\u212a", "'\ufb05"]
WORDS = "the Tokenizer of UPPER mIxEd naïve Straße ΣΑΣ ἀρχή Ёлка İstanbul ǅ ﬁ ﬃ 日本語 한국어 ไทย".split()
WORDS += "हिन्दी عربى עברית தமிழ் ខ្មែរ ᏣᎳᎩ ꮳꮃꭹ 𐐨𐐀 𝒜𝕏 ａｂＣ ⁿ ª º ʰ ǆ µ Å ſt x² ½ Ⅷ ⓐ ㍿".split()
NUMBERS = "0 7 42 123 1234 12345678901234567890 3.14 1,000 ٣٤٥ ४५६ 𝟏𝟐𝟑 ²³ ½¾ Ⅻ ㊷ 一二三 ௧௨ ໑໒ ①② ߁߂ 𞥐𞥑".split()
CODE = ["for (int i=0;i<10;++i) {\n\treturn x[i];\n}", "def f(a, *b):\n    pass\n\n\n", "=>", "!==", "/* */"]
CODE += ["https://example.org/a//b?c=d&e#f", "C:\\dir\\x", "//\n//\r\n", "<div class='x'>&nbsp;</div>", "a_b__c"]
CODE += ["'''", '"""', "```", "$$\\frac{a}{b}$$", "---\n", "...", "…", "\\u0041", "%s\\n", "{{}}", "#!/bin"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|message|>", "<|return|>"]
SPECIALS += ["<|channel|>", "<|call|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|im_start"]
SPECIALS += ["|im_end|>", "<|im_start|>user\n", "<<|im_end|>>", "<|endoftext|", "<|<|im_end|>|>", "<|endofprompt|>"]
SPECIALS += ["<|IM_START|>", "<tool_call", "tool_call>", "<|reserved_200000|>", "<|startoftext|>", "<s>", "</s>"]
EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "☺️", "1️⃣", "🫠", "🧑🏿‍🚀", "❤", "🏴\U000e0067\U000e0062\U000e007f"]
CONTROLS = ["\x00", "\x01", "\x1b[0m", "\x7f", "\x80", "\x9f", "\xad", "\ufffd", "\ufffe", "\uffff", "\U0010ffff"]
CONTROLS += ["\u202e", "\u2066", "\u061c", "\ue000", "\U000f0000", "\ufdd0", "\ufe0f", "\U000e0100"]
MARKS = [chr(c) for c in [*range(0x300, 0x370), *range(0x591, 0x5C8), *range(0x64B, 0x660)]]
MARKS += [chr(c) for c in [0x93C, 0x94D, 0xC3C, 0xC56, 0x1ABF, 0x1DF6, 0x1DFA, 0x20D0, 0x3099, 0x309A]]
MARKS += [chr(c) for c in [0xFE20, 0x10D24, 0x1133B, 0x11930, 0x1D165, 0x1D16D, 0x1E4EC, 0x1E8D0, 0x897]]
BLOCKS = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x600), (0x600, 0x900), (0x900, 0xE00), (0xE00, 0x1200)]
BLOCKS += [(0x1200, 0x1E00), (0x1E00, 0x2C00), (0x2C00, 0x3100), (0x3100, 0xA000), (0xA000, 0xD800)]
BLOCKS += [(0xE000, 0xFB00), (0xF900, 0x10000), (0x10000, 0x12000), (0x12000, 0x1D000), (0x1D000, 0x20000)]
BLOCKS += [(0x20000, 0x33500), (0x33500, 0xE0000), (0xE0000, 0x110000)]


def _point(rng):
    low, high = rng.choice(BLOCKS)
    return chr(rng.randrange(low, high))


def _any_points(rng):
    return "".join(_point(rng) for _ in range(rng.randrange(1, 12)))


def _one_block(rng):
    low, high = rng.choice(BLOCKS)
    return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 16)))


def _marks(rng):
    return rng.choice(WORDS) + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 8)))


def _base_and_marks(rng):
    return "".join(_point(rng) + rng.choice(MARKS) for _ in range(rng.randrange(1, 6)))


def _jamo(rng):
    parts = [(0x1100, 0x1113), (0x1161, 0x1176), (0x11A7, 0x11C3), (0xAC00, 0xD7A4), (0xA960, 0xA97D)]
    return "".join(chr(rng.randrange(*rng.choice(parts))) for _ in range(rng.randrange(1, 10)))


def _decomposed(rng):
    form = rng.choice(["NFD", "NFC", "NFKD"])
    return unicodedata.normalize(form, rng.choice(WORDS) + _one_block(rng))


def _run(rng):
    char = rng.choice([" ", "\n", "a", "A", "0", "!", "é", "漢", "\u0301", "\t", "=", "-", "'", "𝟎", "\u200d"])
    return char * rng.choice([2, 3, 5, 17, 50, 200, 1000])


def _contraction(rng):
    return rng.choice(WORDS) + rng.choice(CONTRACTIONS) + rng.choice(["", "t", "\u017f", "5", " "])


def _cases(rng):
    word = rng.choice(WORDS)
    return "".join(rng.choice([c.upper(), c.lower(), c.title()]) for c in word)


def _from(choices):
    return lambda rng: rng.choice(choices)


_PARTS = [_any_points, _one_block, _marks, _base_and_marks, _jamo, _decomposed, _contraction, _cases]
_PARTS += [_from(s) for s in (SPACES, SPACES, WORDS, NUMBERS, CODE, SPECIALS, EMOJI, CONTROLS, CONTRACTIONS)]


def nasty_strings(count, seed):
    """`count` strings without lone surrogates; about one in ten is long, the first one is empty."""
    rng = random.Random(seed)
    out = [""]
    while len(out) < count:
        length = rng.choice([1, 2, 3, 5, 8, 13, 40])
        parts = [rng.choice(_PARTS)(rng) for _ in range(length)]
        if rng.random() < 0.05:
            parts.insert(rng.randrange(len(parts) + 1), _run(rng))
        glue = rng.choice(["", "", " ", "\n"])
        text = glue.join(parts)
        out.append("".join(c for c in text if not 0xD800 <= ord(c) < 0xE000))
    return out[:count]


if __name__ == "__main__":
    for line in nasty_strings(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(line))
