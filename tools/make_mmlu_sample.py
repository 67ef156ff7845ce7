#!/usr/bin/env python3
"""models/eval/mmlu.jsonl.gz, the questions that `validate --metrics mmlu` asks when it is given none:
the first ten of each subject of MMLU (Hendrycks et al., 2021; MIT licence) and its examples.

    tools/make_mmlu_sample.py FOLDER     with dev/ and test/, header and index
"""

import csv
import gzip
import io
import json
import pathlib
import re
import sys

QUESTIONS = 10
TARGET = pathlib.Path(__file__).resolve().parent.parent / "models/eval/mmlu.jsonl.gz"


# Texts in quotes; in some of them quotes are doubled, as they should be, in others not.
ROW = re.compile(r'"(.*?)","(.*?)","(.*?)","(.*?)","(.*?)",([0-3])(?:\r?\n|$)', re.DOTALL)


def rows(path):
    text = path.read_bytes().decode()
    at = text.index("\n") + 1
    out = []
    while at < len(text):
        row = ROW.match(text, at)
        try:
            strict = list(csv.reader(io.StringIO(row[0], newline=""), strict=True))
        except csv.Error:
            strict = []
        out.append(strict[0] if len(strict) == 1 and len(strict[0]) == 6 else row.groups())
        at = row.end()
    return out


def main(folder):
    lines = []
    for table in sorted((folder / "test").glob("*_test.csv")):
        subject = table.name.removesuffix("_test.csv")
        parts = {"dev": rows(folder / "dev" / f"{subject}_dev.csv"), "test": rows(table)[:QUESTIONS]}
        for part, questions in parts.items():
            for text, *choices, answer in questions:
                lines.append(json.dumps({"subject": subject, "split": part, "question": text,
                                         "choices": choices, "answer": int(answer)},
                                        ensure_ascii=False))
    TARGET.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0))
    print(f"{len(lines)} lines, {TARGET.stat().st_size} bytes")


main(pathlib.Path(sys.argv[1]))
