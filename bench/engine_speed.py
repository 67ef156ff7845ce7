#!/usr/bin/env python3
"""Our engine's speed beside llama.cpp's on the same files, in turn.

    bench/engine_speed.py CHECKPOINT SCRATCH --peers PYTHON [--methods M,M...] [--rounds N]
                          [--prompt-tokens N] [--max-tokens N] [--mlx] [--binary FILE] [--report FILE]

CHECKPOINT is quantized into SCRATCH first (files that are there are taken as they are). Every round
runs ours, started anew, and then llama.cpp, which has the file loaded: a prompt, then one token at
a time, the file mapped and in the page cache. The table has medians, and the median of the rounds'
ratios with the least and the greatest. MLX methods (4bit) have no peer, but with --mlx: ours runs
them on the backend "mlx" and the peer is mlx-lm, both in float32. PYTHON has llama-cpp-python compiled for this processor (CMAKE_ARGS=-DGGML_NATIVE=ON).
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
from full_size import machine  # noqa: E402

RATES = ("prompt_tokens_per_second", "generation_tokens_per_second")
WORDS = "the sky is blue because air scatters short waves of light more than long ones and so "


def quantized(args, method):
    mlx = method.endswith("bit")
    target = args.scratch / (f"model-{method}" if mlx else f"model-{method}.gguf")
    if not target.exists():
        subprocess.run([args.binary, "quantize", args.checkpoint, "--format",
                        "mlx" if mlx else "gguf", "--method", method, "--output", target],
                       check=True)
    return target


def warm(path):
    """Reads a model, so that the first run finds it in the page cache as the others do."""
    for file in [path] if path.is_file() else path.iterdir():
        with open(file, "rb") as data:
            while data.read(1 << 24):
                pass


def on_mlx(args, path):
    return getattr(args, "mlx", False) and path.is_dir()


def run_ours(args, path, *more):
    stats = args.scratch / "stats.json"
    stats.unlink(missing_ok=True)
    prompt = WORDS * (args.prompt_tokens // 17)
    where = ["--backend", "mlx"] if on_mlx(args, path) else ["--threads", str(args.threads)]
    subprocess.run([args.binary, "run", path, "--raw", "--max-tokens", str(args.max_tokens),
                    "--temperature", "1", "--seed", "1", *where, "--stats", stats,
                    *more], input=prompt.encode(), check=True, capture_output=True)
    return json.loads(stats.read_text())


class Peer:
    """A peer with a model loaded: a measurement each time it is asked."""

    def __init__(self, args, path, tokens, *more):
        self.process = subprocess.Popen(
            [args.peers, ROOT / "bench/peer_speed.py", path, "--prompt-tokens", str(tokens),
             "--max-tokens", str(args.max_tokens), "--threads", str(args.threads), "--serve", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self):
        print(file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: the peer stopped with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ratio(ours, theirs, key):
    values = sorted(a[key] / b[key] for a, b in zip(ours, theirs))
    return f"{statistics.median(values):.2f} ({values[0]:.2f}-{values[-1]:.2f})"


def row(args, method):
    path = quantized(args, method)
    warm(path)
    first = run_ours(args, path)  # warms up, and tells the prompt's tokens
    peer = None
    if path.is_file():
        peer = Peer(args, path, first["prompt_tokens"])
    elif on_mlx(args, path):
        peer = Peer(args, path, first["prompt_tokens"], "--float")
        peer.run()
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(run_ours(args, path))
        if peer:
            theirs.append(peer.run())
        print(method, *(f"{r[k]:.2f}" for k in RATES for r in (ours[-1:] + theirs[-1:])),
              file=sys.stderr, flush=True)
    if peer:
        peer.close()
    size = path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.iterdir())
    cells = [method, f"{size / 1e9:.2f} GB", f"{ours[-1]['prompt_tokens']}"]
    for key in RATES:
        cells.append(f"{statistics.median(r[key] for r in ours):.2f}")
        cells.append(f"{statistics.median(r[key] for r in theirs):.2f}" if theirs else "")
        cells.append(ratio(ours, theirs, key) if theirs else "")
    cells.append(f"{statistics.median(r['load_seconds'] for r in ours):.2f} s")
    return "| " + " | ".join(cells) + " |", theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--methods", default="Q4_K_M,Q6_K,Q8_0,Q3_K_M,4bit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--mlx", action="store_true")
    parser.add_argument("--binary", default=ROOT / "build/release/llama-pajamas")
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    rows, features = [], ""
    described = machine()
    for method in args.methods.split(","):
        line, theirs = row(args, method)
        rows.append(line)
        features = ", ".join(theirs[0]["features"]) if theirs else features
    done = subprocess.run([args.peers, ROOT / "bench/peer_speed.py", "--bandwidth", "--threads",
                           str(args.threads)], check=True, capture_output=True, text=True)
    bandwidth = json.loads(done.stdout.splitlines()[-1])["bytes_per_second"]
    text = [f"# Engine speed: {args.checkpoint.name}", "",
            f"{datetime.date.today()}, {described}; the threads "
            f"read memory at {bandwidth / 1e9:.1f} GB/s. Written by `bench/engine_speed.py "
            f"{' '.join(sys.argv[1:])}`.",
            f"The peer: {features}.", "",
            "Tokens/s: medians; ratios: medians, least and greatest of "
            f"{args.rounds} rounds in turn, {args.max_tokens} tokens generated.", "",
            "| file | size | prompt | ours | peer | ratio | generation, ours | peer | "
            "ratio | ready |", "|---|---|---|---|---|---|---|---|---|---|", *rows, ""]
    report = args.report or ROOT / f"bench/results/engine-speed-{args.checkpoint.name}.md"
    report.write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
