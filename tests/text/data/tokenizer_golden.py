#!/usr/bin/env python3
"""Writes tokenizer_golden.json: ids of the Python registry's tokenizers 0.23.3 for short strings.

    pip install tokenizers==0.23.3
    tests/text/data/tokenizer_golden.py models/tiny-qwen2/tokenizer.json

Each case is the vocabulary of tiny-qwen2 with another pre-tokenizer, normalizer or added tokens.
"""

import json
import pathlib
import random
import sys

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))
from nasty_strings import nasty_strings  # noqa: E402

GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
FLAGS = {
    "<a>": {"lstrip": True},
    "<b>": {"rstrip": True},
    "<ab>": {"lstrip": True, "rstrip": True, "special": True},
    "word": {"single_word": True},
    "wor": {},
    "éé": {"normalized": True},
    "x<a>": {"special": True},
    " <c>": {"rstrip": True},
    "ス": {"single_word": True, "normalized": True},
}
PIECES = ["<a>", " <a> ", "<b>", "  <b>\n ", "<ab>", "\u3000<ab>\t", "word", "words", "aword", "wor"]
PIECES += ["éé", "e\u0301é", "x<a>", " <c>", " ", "ス", "²word", "\u200dword", "<|im_end|>", "\u0301", "a", "."]


def split(pattern):
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def byte_level(use_regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


CHANGES = {
    "qwen2": {},
    "gpt-4o": {"normalizer": None, "pre_tokenizer": sequence(split({"Regex": GPT4O}), byte_level())},
    "llama-bpe": {
        "normalizer": None,
        "pre_tokenizer": sequence(split({"Regex": LLAMA3}), byte_level()),
        "ignore_merges": True,
    },
    "gpt-2": {"normalizer": None, "pre_tokenizer": byte_level(use_regex=True)},
    "gpt-2 with prefix": {"normalizer": None, "pre_tokenizer": byte_level(use_regex=True, prefix=True)},
    "sequence": {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
        "pre_tokenizer": sequence(
            split({"Regex": r"\p{N}{1,3}"}),
            split({"String": "."}),
            sequence(split({"Regex": "[一-龥぀-ゟ゠-ヿ]+|\\b\\w+\\b|x*"})),
            byte_level(prefix=True),
        ),
    },
    "added tokens": {"added_tokens": FLAGS},
}


def main():
    base = json.loads(pathlib.Path(sys.argv[1]).read_text())
    rng = random.Random(5)
    texts = [t for t in nasty_strings(4000, 20) if len(t) <= 32][:90]
    mixed = ["".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 7))) for _ in range(120)]
    cases = []
    for name, change in CHANGES.items():
        content = json.loads(json.dumps(base))
        change = dict(change)
        if "ignore_merges" in change:
            content["model"]["ignore_merges"] = change["ignore_merges"]
        for token, flags in change.pop("added_tokens", {}).items():
            entry = {"id": content["added_tokens"][-1]["id"] + 1, "content": token, "special": False}
            entry |= {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
            content["added_tokens"].append(entry | flags)
        for key in ("normalizer", "pre_tokenizer"):
            if key in change:
                content[key] = change[key]
        tokenizer = Tokenizer.from_str(json.dumps(content))
        lines = []
        for text in mixed if name == "added tokens" else texts:
            ids = {}
            for special in (True, False):
                tokenizer.encode_special_tokens = not special
                ids[special] = tokenizer.encode(text, add_special_tokens=False).ids
            line = {"text": text, "ids": ids[True]}
            if ids[False] != ids[True]:
                line["ids_as_text"] = ids[False]
            lines.append(line)
        keys = ("added_tokens", "normalizer", "pre_tokenizer")
        cases.append(
            {
                "name": name,
                "change": {k: content[k] for k in keys},
                "ignore_merges": change.get("ignore_merges", False),
                "lines": lines,
            }
        )
    with open(HERE / "tokenizer_golden.json", "w") as out:
        out.write("[\n")
        for i, case in enumerate(cases):
            lines = ",\n  ".join(json.dumps(line) for line in case.pop("lines"))
            out.write(("," if i else "") + json.dumps(case)[:-1] + ', "lines": [\n  ' + lines + "]}\n")
        out.write("]\n")


if __name__ == "__main__":
    main()
