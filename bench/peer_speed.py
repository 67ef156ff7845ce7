#!/usr/bin/env python3
"""llama.cpp's speed on one GGUF file, mlx-lm's on an MLX directory, or how fast this machine reads
memory; one line of JSON.

    bench/peer_speed.py MODEL [--prompt-tokens N] [--max-tokens N] [--threads N] [--serve]
                        [--flash-attention] [--float]
    bench/peer_speed.py --bandwidth [--threads N]

Speed: a prompt in one batch (beyond 2,048 tokens in those of 512 that llama.cpp cuts by default),
then one token at a time, the file mapped, keys and values as llama.cpp has them by default (F16).
mlx-lm as its generate_step does it, the likeliest token chosen. With --serve it measures again for
every line of standard input, the model loaded once. Bandwidth: each thread forms the dot product
of a gigabyte of its own with itself, the best of several. Needs the Python packages of tests/interop/requirements.txt.
"""

import argparse
import json
import os
import re
import sys
import threading
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the threads are ours

import numpy as np  # noqa: E402


def bandwidth(threads):
    """Bytes a second that `threads` read together."""
    arrays = [np.ones(1 << 28, np.float32) for _ in range(threads)]
    best = 0.0
    for _ in range(8):
        workers = [threading.Thread(target=np.dot, args=(a, a)) for a in arrays]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, sum(a.nbytes for a in arrays) / (time.perf_counter() - began))
    return {"bytes_per_second": best}


def load(args):
    import llama_cpp
    together = max(args.prompt_tokens, 32) if args.prompt_tokens <= 2048 else 512
    return llama_cpp.Llama(args.model, n_ctx=args.prompt_tokens + args.max_tokens + 8,
                           n_batch=max(together, 2048), n_ubatch=together,
                           n_threads=args.threads, n_threads_batch=args.threads,
                           flash_attn=args.flash_attention, verbose=False)


def speed(args, model):
    import llama_cpp
    rng = np.random.default_rng(1)
    prompt = [int(t) for t in rng.integers(0, min(model.n_vocab(), 100_000), args.prompt_tokens)]
    model.reset()
    model.eval(prompt[:4])  # the first pass sets up
    model.reset()
    began = time.perf_counter()
    model.eval(prompt)
    prompted = time.perf_counter()
    for i in range(args.max_tokens):
        model.eval([prompt[i % len(prompt)]])
    done = time.perf_counter()
    features = re.findall(r"(\w+) = 1", llama_cpp.llama_print_system_info().decode())
    return {"prompt_tokens": len(prompt), "generated_tokens": args.max_tokens,
            "features": [f for f in features if f.isupper()],
            "prompt_tokens_per_second": len(prompt) / (prompted - began),
            "generation_tokens_per_second": args.max_tokens / (done - prompted)}


def mlx_speed(args, model):
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    rng = np.random.default_rng(1)
    prompt = mx.array(rng.integers(0, 2000, args.prompt_tokens))
    began = time.perf_counter()
    steps = generate_step(prompt, model, max_tokens=args.max_tokens)
    next(steps)
    prompted = time.perf_counter()
    count = sum(1 for _ in steps)
    done = time.perf_counter()
    return {"prompt_tokens": len(prompt), "generated_tokens": args.max_tokens,
            "features": ["mlx " + mx.__version__],
            "prompt_tokens_per_second": len(prompt) / (prompted - began),
            "generation_tokens_per_second": count / (done - prompted)}


def load_mlx(args):
    import pathlib

    import mlx.core as mx
    from mlx_lm import utils
    model, _ = utils.load_model(pathlib.Path(args.model))
    if args.float:
        model.set_dtype(mx.float32)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--bandwidth", action="store_true")
    parser.add_argument("--prompt-tokens", type=int, default=146)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--flash-attention", action="store_true")
    parser.add_argument("--float", action="store_true", help="mlx-lm's activations in float32")
    args = parser.parse_args()
    if not args.bandwidth and not args.model:
        parser.error("give a GGUF file, an MLX directory, or --bandwidth")
    if args.bandwidth:
        print(json.dumps(bandwidth(args.threads)))
        return
    load_model, measure = (load_mlx, mlx_speed) if os.path.isdir(args.model) else (load, speed)
    model = load_model(args)
    for _ in sys.stdin if args.serve else [""]:
        print(json.dumps(measure(args, model)), flush=True)


if __name__ == "__main__":
    main()
