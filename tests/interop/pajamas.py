"""Our program, as a user calls it."""

import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))  # the package `checkpoint`
BINARY = pathlib.Path(os.environ.get("LLAMA_PAJAMAS", ROOT / "build/release/llama-pajamas"))
TINY = ROOT / "models/tiny-qwen2"
TINY_MOE = ROOT / "models/tiny-qwen3-moe"
TINY_OSS = ROOT / "models/tiny-gpt-oss"
HELDOUT = ROOT / "models/eval/heldout.txt"
GGUF_METHODS = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S",
                "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "Q2_K_S", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL",
                "IQ4_XS", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS",
                "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0")
# Refused without a matrix, by us as by llama.cpp; it refuses Q2_K_S too.
NEED_MATRIX = ("IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
MATRICES = ROOT / "tests/interop/data/imatrix"  # measured by stock llama.cpp, one a model
MOE_METHODS = (*GGUF_METHODS, "MXFP4_MOE")
MLX_BITS = (2, 3, 4, 5, 6, 8)
MLX_GROUPS = (32, 64, 128)


def run(*args, check=True, timeout=120, env=None, **options):
    """Runs the program; `check` demands status 0 and shows stderr where it is another."""
    command = [str(BINARY), *map(str, args)]
    done = subprocess.run(command, capture_output=True, timeout=timeout, stdin=options.pop(
        "stdin", subprocess.DEVNULL), env={**os.environ, **(env or {})}, **options)
    done.stdout, done.stderr = (s.decode(errors="replace") for s in (done.stdout, done.stderr))
    if check:
        assert done.returncode == 0, (f"{' '.join(command)}\nstatus {done.returncode}\n"
                                      f"{done.stderr[-2000:]}{done.stdout[-500:]}")
    return done


def run_json(*args, **options):
    return json.loads(run(*args, **options).stdout)


def quantize(model, formats, method, output, *flags, **options):
    return run("quantize", model, "--format", formats, "--method", method, "--output", output,
               *flags, **options)


def plan(model, formats, method, *flags):
    return run_json("plan", model, "--format", formats, "--method", method, "--json", *flags)


def tokenize(model, text, *flags):
    return run_json("tokenize", model, "--text", text, *flags)


def tokenize_many(model, texts, scratch, *flags):
    """One array of ids for each text, by one call."""
    path = scratch / "texts.jsonl"
    path.write_text("".join(json.dumps(t) + "\n" for t in texts))
    lines = run("tokenize", model, "--jsonl", path, *flags).stdout.splitlines()
    return [json.loads(line) for line in lines]


def tensor_values(model, name, scratch):
    """Every value of one tensor as our decoder sees it, flat."""
    path = scratch / "tensor.f32"
    path.unlink(missing_ok=True)
    run("inspect", model, "--tensor", name, "--raw-f32", path)
    return np.fromfile(path, "<f4")


def logits(model, text_file, ctx, vocab, scratch, *flags):
    """Logits of every position, chunk after chunk: [tokens][vocab]."""
    path = scratch / "logits.f32"
    path.unlink(missing_ok=True)
    run("validate", model, "--metrics", "perplexity", "--text", text_file, "--ctx", ctx,
        "--dump-logits", path, *flags, timeout=300)
    return np.fromfile(path, "<f4").reshape(-1, vocab)


@functools.cache
def _has_kernels_flag():
    return "--kernels" in run("quantize", "--help").stdout


def with_kernels(name):
    """(flags, environment) that force one kernel table."""
    if _has_kernels_flag():
        return ["--kernels", name], {}
    return [], {"LLAMA_PAJAMAS_KERNELS": name}


def supported_kernels():
    """The tables that this processor can run."""
    flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    flags = set(flags.group(1).split()) if flags else set()
    names = ["ref"]
    if {"avx2", "fma", "f16c"} <= flags:
        names.append("avx2")
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"} <= flags:
        names.append("avx512")
    return names


def interrupted(*args, step, beyond):
    """What is printed by a command (given --json) that gets Ctrl-C once `step` is further than `beyond`."""
    process = subprocess.Popen([BINARY, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        message = json.loads(line)
        if message.get("step") == step and message.get("done", 0) > beyond:
            break
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    return stdout
