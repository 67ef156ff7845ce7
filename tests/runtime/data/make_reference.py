"""Writes reference.f32 and prints the arrays of engine_test.cpp: what mlx-lm 0.32.2 (mlx 0.32.4, CPU),
with all weights cast to float32, makes of models/tiny-qwen2. Run from the repository root."""

import json
import pathlib

import mlx.core as mx
import numpy as np
from mlx_lm.utils import load_model
from tokenizers import Tokenizer

ROOT = pathlib.Path("models/tiny-qwen2")
HERE = pathlib.Path(__file__).parent

model, _ = load_model(ROOT)
model.apply(lambda x: x.astype(mx.float32) if x.dtype in (mx.bfloat16, mx.float16) else x)


def logits(ids):
    return np.array(model(mx.array([ids]))[0].astype(mx.float32))


tokenizer = Tokenizer.from_file(str(ROOT / "tokenizer.json"))
text = pathlib.Path("models/eval/heldout.txt").read_text()[:2000]
ids = tokenizer.encode(text, add_special_tokens=False).ids[:64]
rows = logits(ids)
rows[3::4].astype("<f4").tofile(HERE / "reference.f32")  # positions 3, 7, ... 63
print("tokens", json.dumps(ids))
print("top", json.dumps(rows.argmax(axis=1).tolist()))

prompt = tokenizer.encode("In the beginning God created", add_special_tokens=False).ids
answer = list(prompt)
for _ in range(32):
    answer.append(int(logits(answer)[-1].argmax()))
print("prompt", json.dumps(prompt))
print("greedy", json.dumps(answer[len(prompt):]))
