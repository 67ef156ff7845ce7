#!/usr/bin/env python3
"""The pre-tokenizers of published tokenizers, as their tokenizer.json has them, by GGUF's names for them;
run, it writes pre_tokenizers.json: ids of the Python registry's tokenizers 0.23.3 for short strings.

    pip install tokenizers==0.23.3
    tests/text/data/pre_tokenizers.py

The vocabulary is trained here on strings that nothing cuts, so that its merges join what pre-tokenizers part.
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))
from nasty_strings import nasty_strings  # noqa: E402

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
QWEN35 = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|"
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
)
GPT4O = CASED + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
YOUTU = CASED + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KIMI = r"[\p{Han}]+|" + CASED.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]") + (
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
    r"\s*[\r\n]|\s+(?!\S)|\s+"
)
BAILING = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
# With carriage returns and line feeds as they are.
SEED_CODER = (
    CONTRACTIONS + "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|"
    "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
EXAONE_MOE = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
DEEPSEEK_LETTERS = (
    "\u0041-\u005a\u0061-\u007a\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf"
    "\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386"
    "\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b"
    "\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d"
    "\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d"
    "\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
    "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
DEEPSEEK_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
ASIAN = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
DEEPSEEK3 = (
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
YOUTU_ASIAN = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c"
    "\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + ASIAN
)


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def byte_level(use_regex=False):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def digits(individual=True):
    return {"type": "Digits", "individual_digits": individual}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def splits(*patterns):
    return sequence(*map(split, patterns), byte_level())


NFC = {"normalizer": {"type": "NFC"}}
IGNORE = {"ignore_merges": True}
DEEPSEEK_DIGITS = sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_ASIAN),
                           digits(), byte_level())
PUBLISHED = {
    "gpt-2": {"pre": byte_level(True)},
    "olmo": {"pre": byte_level(True)} | NFC,
    "smollm": {"pre": sequence(digits(), byte_level(True))},
    "command-r": {"pre": sequence(digits(), byte_level(True))} | NFC,
    "qwen2": {"pre": splits(QWEN2)} | NFC,
    "qwen35": {"pre": splits(QWEN35)} | NFC,
    "gpt-4o": {"pre": splits(GPT4O)},
    "llama-bpe": {"pre": splits(LLAMA3)} | IGNORE,
    "minicpm5": {"pre": splits(r"\p{N}{1,3}", QWEN2.replace(r"|\p{N}|", r"|\p{N}+|"))} | IGNORE,
    "smaug-bpe": {"pre": splits(LLAMA3)},
    "tekken": {"pre": splits(TEKKEN)} | IGNORE,
    "deepseek-llm": {
        "pre": sequence(
            split("[\r\n]"),
            split(r"\s?[" + DEEPSEEK_LETTERS + "]+"),
            split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
            split(r"\s+$"),
            split(DEEPSEEK_ASIAN),
            digits(),
            byte_level(),
        )
    },
    "deepseek-coder": {"pre": DEEPSEEK_DIGITS},
    "deepseek-v3": {"pre": splits(r"\p{N}{1,3}", ASIAN, DEEPSEEK3)},
    "falcon": {
        "pre": sequence(
            {"type": "Punctuation", "behavior": "Contiguous"},
            byte_level(True),
            digits(False),
            split("[0-9][0-9][0-9]"),
        )
    },
    "bloom": {"pre": splits(BLOOM)},
    "viking": {"pre": sequence(split(BLOOM), digits(), byte_level())},
    "superbpe": {"pre": splits(r"\p{N}+", r"(?=(\d{3})+(?!\d))")},
    "bailingmoe": {"pre": splits(BAILING)},
    "seed-coder": {"pre": splits(SEED_CODER)},
    "exaone-moe": {"pre": splits(EXAONE_MOE)},
    "youtu": {"pre": splits(YOUTU_ASIAN, YOUTU)} | IGNORE,
    "kimi-k2": {"pre": splits(KIMI)},
}
# Other spellings of some of them.
RESPELT = {"smaug-bpe": {"pre": splits(CL100K)}, "llama-bpe": {"pre": splits(CL100K)} | IGNORE}


def trained_model():
    """BPE over strings that nothing cuts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([t for t in nasty_strings(6000, 7) if len(t) <= 60], trainer)
    return json.loads(tokenizer.to_str())["model"]


def tokenizer_json(case, model):
    """The contents of a tokenizer.json with this pre-tokenizer and model."""
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": case.get("normalizer"),
        "pre_tokenizer": case["pre"],
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": model | {"ignore_merges": case.get("ignore_merges", False)},
    }


def main():
    model = trained_model()
    texts = [t for t in nasty_strings(4000, 23) if 4 <= len(t) <= 40][:80]
    cases = []
    for group, published in (("published", PUBLISHED), ("respelt", RESPELT)):
        for name, case in published.items():
            tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(case, model)))
            ids = [e.ids for e in tokenizer.encode_batch(texts)]
            cases.append({"name": name, "group": group} | case | {"ids": ids})
    content = {"vocab": model["vocab"], "merges": model["merges"], "texts": texts, "cases": cases}
    with open(HERE / "pre_tokenizers.json", "w") as out:
        lines = [f'"{key}": {json.dumps(content[key], separators=(",", ":"))}' for key in ("vocab", "merges", "texts")]
        rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        out.write("{" + ",\n".join(lines) + ',\n"cases": [\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
