#!/usr/bin/env python3
"""Our engine's speed over long contexts beside both of llama.cpp's forms of attention, in turn.

    bench/long_context.py MODEL.gguf SCRATCH --peers PYTHON [--contexts N,N...] [--rounds N]
                          [--kv-caches T,T...] [--max-tokens N] [--binary FILE] [--report FILE]

Every round reads a prompt of each length and generates behind it: ours with each type of KV cache,
llama.cpp with F16 keys, plainly and with flash attention (loaded for the length, measured once a
round). The table has medians; the ratios are those of a round to the better of llama.cpp's two,
their median with the least and the greatest. PYTHON as for bench/engine_speed.py.
"""

import argparse
import datetime
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
from engine_speed import RATES, Peer, run_ours, warm  # noqa: E402
from full_size import machine  # noqa: E402

FORMS = {"plain": [], "flash": ["--flash-attention"]}


def measure(args, length):
    """Rates by name, a list of one entry a round each."""
    args.prompt_tokens = length
    rates = {}
    for turn in range(args.rounds):
        for cache in args.kv_caches.split(","):
            ours = run_ours(args, args.model, "--kv-cache", cache, "--ctx",
                            str(length + args.max_tokens + 64))
            rates.setdefault(cache, []).append(ours)
        for name, flags in FORMS.items():
            peer = Peer(args, args.model, ours["prompt_tokens"], *flags)
            rates.setdefault(name, []).append(peer.run())
            peer.close()
        print(length, turn, *(f"{name} {values[-1][RATES[0]]:.1f} {values[-1][RATES[1]]:.1f}"
                              for name, values in rates.items()), file=sys.stderr, flush=True)
    return rates


def rows(args, length):
    rates = measure(args, length)
    for name, values in rates.items():
        cells = [str(values[0]["prompt_tokens"]),
                 f"llama.cpp, {name}" if name in FORMS else f"ours, {name}"]
        for key in RATES:
            cells.append(f"{statistics.median(v[key] for v in values):.1f}")
            ratios = sorted(v[key] / max(rates[form][turn][key] for form in FORMS)
                            for turn, v in enumerate(values))
            cells.append("" if name in FORMS else
                         f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})")
        yield "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--contexts", default="4096,7000,16384,32768")
    parser.add_argument("--kv-caches", default="f32,f16,q8_0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default=ROOT / "build/release/llama-pajamas")
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    warm(args.model)
    text = [f"# Long contexts: {args.model.stem}", "",
            f"{datetime.date.today()}, {machine()}. Written by `bench/long_context.py "
            f"{' '.join(sys.argv[1:])}`.", "",
            f"Tokens/s: medians of {args.rounds} rounds in turn, {args.max_tokens} tokens generated; "
            "ratios to the better of llama.cpp's two forms: medians, least and greatest.", "",
            "| tokens | engine | prompt | ratio | generation | ratio |", "|---|---|---|---|---|---|"]
    for length in args.contexts.split(","):
        text.extend(rows(args, int(length)))
    report = args.report or ROOT / f"bench/results/long-context-{args.model.stem}.md"
    report.write_text("\n".join([*text, ""]))
    print("\n".join(text))


if __name__ == "__main__":
    main()
