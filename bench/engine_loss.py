#!/usr/bin/env python3
"""What an engine adds to the loss of the weights, ours beside the stock ones on the same file.

    bench/engine_loss.py [METHOD...] [--model DIR] [--chunks N] [--context N] [--binary FILE]
                         [--report FILE]

METHOD is a GGUF method (Q4_K_M) or an MLX one (4bit). Every file is run three ways over the same
tokens: by our engine with float activations (what the weights alone say), by our engine as `run`
uses it (activations rounded to eight bits), and by the stock peer, llama.cpp with its keys and
values in F32, or mlx-lm in the bfloat16 that files ask for. Mean KL in nats; "of the weights"
against the float32 original, "added" the distance of a run from what the weights say, with its
standard error over chunks.

Needs the Python packages of tests/interop/requirements.txt.
"""

import argparse
import datetime
import json
import math
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))

import numpy as np  # noqa: E402
import pajamas  # noqa: E402
import peers  # noqa: E402
from mlx_lm import utils as mlx_utils  # noqa: E402
from quality import processor  # noqa: E402

METHODS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_1", "Q5_0", "Q4_K_M", "Q4_1", "Q4_0", "Q3_K_M", "Q2_K",
           "8bit", "6bit", "5bit", "4bit", "3bit", "2bit")
HEADER = ("| method | of the weights | added by ours | added by the peer | ratio | "
          "whole loss, ours | whole loss, peer |\n|---|---|---|---|---|---|---|")


class Bench:
    def __init__(self, arguments, scratch):
        self.model, self.scratch = arguments.model, pathlib.Path(scratch)
        text = arguments.text.read_text()
        ids = pajamas.tokenize(self.model, text)
        self.context, self.chunks = arguments.context, peers.split(ids, arguments.context)
        self.chunks = self.chunks[:arguments.chunks]
        self.text = arguments.text
        self.original = self.quantize("F32")
        self.vocab = json.loads((self.model / "config.json").read_text())["vocab_size"]
        self.base = self.ours(self.original, "float")

    def quantize(self, method):
        mlx = method.endswith("bit")
        target = self.scratch / (method if mlx else f"{method}.gguf")
        pajamas.quantize(self.model, "mlx" if mlx else "gguf", method, target)
        return target

    def ours(self, file, activations):
        return pajamas.logits(file, self.text, self.context, self.vocab, self.scratch, "--chunks",
                              len(self.chunks), "--activations", activations)

    def peer(self, file):
        if not file.is_dir():
            return peers.llama_logits(file, self.chunks)
        model, _ = mlx_utils.load_model(file)  # in bfloat16, as the file says
        try:
            return peers.mlx_logits(model, self.chunks)
        except RuntimeError:  # its CPU backend multiplies stacks of experts in float32 alone
            return None

    def kl(self, p, q):
        """Mean over the chunks, and its standard error."""
        by_chunk = peers.kl_by_position(p, q).reshape(len(self.chunks), -1).mean(axis=1)
        return by_chunk.mean(), by_chunk.std(ddof=1) / math.sqrt(len(by_chunk))

    def row(self, method):
        file = self.quantize(method)
        exact, ours, peer = self.ours(file, "float"), self.ours(file, "int8"), self.peer(file)
        added, error = self.kl(exact, ours)
        cells = [method, f"{self.kl(self.base, exact)[0]:.5f}", f"{added:.6f} ± {error:.6f}"]
        if peer is None:
            cells += ["", "", f"{self.kl(self.base, ours)[0]:.5f}", ""]
        else:
            theirs, error = self.kl(exact, peer)
            cells += [f"{theirs:.6f} ± {error:.6f}", f"{added / theirs:.2f}",
                      f"{self.kl(self.base, ours)[0]:.5f}", f"{self.kl(self.base, peer)[0]:.5f}"]
        return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--model", default=ROOT / "models/tiny-qwen2", type=pathlib.Path)
    parser.add_argument("--text", default=ROOT / "models/eval/heldout.txt", type=pathlib.Path)
    parser.add_argument("--chunks", default=30, type=int)
    parser.add_argument("--context", default=256, type=int)
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--report", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.binary:
        pajamas.BINARY = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(arguments, scratch)
        lines = [f"# What the engines add on {arguments.model.name}\n\n{len(bench.chunks)} chunks "
                 f"of {arguments.context} of {arguments.text.name}; {processor()}, "
                 f"{datetime.date.today()}; `bench/engine_loss.py {' '.join(sys.argv[1:])}`\n",
                 HEADER]
        print("\n".join(lines), flush=True)
        for method in arguments.methods:
            lines.append(bench.row(method))
            print(lines[-1], flush=True)
    if arguments.report:
        arguments.report.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
