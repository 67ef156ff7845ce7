#!/usr/bin/env python3
"""Loads an FP8 output with the real transformers, once, and compares what it answers with ours.

    bench/fp8_transformers.py [MODEL...] [--binary FILE]

Each MODEL (default: the two small Qwen models) is written as FP8, loaded by AutoModelForCausalLM
(without a GPU transformers dequantizes the tiles while it loads, with one it computes in FP8), and
scored on the same tokens as our engine: mean KL in nats, and the modules that became FP8.

Needs torch and accelerate beside tests/interop/requirements.txt.
"""

import argparse
import json
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))

import numpy as np  # noqa: E402
import pajamas  # noqa: E402
import peers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

CONTEXT, CHUNKS = 256, 4


def compare(source, scratch):
    folder = scratch / source.name
    pajamas.run("quantize", source, "--format", "fp8", "--output", folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, device_map=device).eval()
    tiled = sum("FP8" in type(module).__name__ for module in model.modules())
    text = scratch / "text.txt"
    text.write_text(pajamas.HELDOUT.read_text()[:8000])
    chunks = peers.split(pajamas.tokenize(folder, text.read_text()), CONTEXT)[:CHUNKS]
    with torch.no_grad():
        theirs = np.concatenate([model(torch.tensor([list(map(int, chunk))], device=device))
                                 .logits[0].float().cpu().numpy() for chunk in chunks])
    vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
    ours = pajamas.logits(folder, text, CONTEXT, vocab, scratch, "--chunks", CHUNKS)
    print(f"{source.name}: transformers {transformers.__version__} on {device}, {tiled} modules in "
          f"FP8, mean KL to ours {peers.mean_kl(ours, theirs):.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=pathlib.Path,
                        default=[pajamas.TINY, pajamas.TINY_MOE])
    parser.add_argument("--binary", type=pathlib.Path, default=pajamas.BINARY)
    arguments = parser.parse_args()
    pajamas.BINARY = arguments.binary
    with tempfile.TemporaryDirectory() as scratch:
        for source in arguments.models:
            compare(source, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
