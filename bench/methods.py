#!/usr/bin/env python3
"""The table of docs/methods.md: every method with its bits, its error and its speed.

    bench/methods.py [METHOD...] [--binary FILE] [--chunks N] [--imatrix DIR]

Bits per weight and size are of the published Qwen2.5-7B-Instruct, as `plan` computes them. Mean KL
(nats) is that of `validate --metrics kl --ctx 256` on the built-in text beside the original, of the
three small checkpoints, without an importance matrix; a method that needs one takes it from
--imatrix DIR (MODEL.gguf in it), which a star says. Speed is `bench/encoders`: million weights a second
of one core, of the type that most weights of the method have, and so is its error: root mean
square, relative, of normally distributed weights.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))

import pajamas  # noqa: E402

MODELS = (pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS)
PUBLISHED = ROOT / "models/configs/Qwen2.5-7B-Instruct.json"

USE = {
    "F32": "to compare with; nothing is lost",
    "BF16": "as published; nothing is lost of BF16",
    "F16": "readers without BF16",
    "Q8_0": "next to no loss, fast everywhere",
    "Q6_K": "the best that still saves",
    "Q5_K_M": "when Q4_K_M is felt",
    "Q5_K_S": "a little smaller",
    "Q4_K_M": "the usual choice",
    "Q4_K_S": "a little smaller",
    "IQ4_NL": "rows that fit no super-blocks of 256 (gpt-oss)",
    "Q5_0": "for old readers", "Q5_1": "for old readers",
    "Q4_0": "for readers that repack it", "Q4_1": "for old readers",
    "Q3_K_L": "between Q3_K_M and Q4_K_S",
    "Q3_K_M": "8 GB for 13B; loss is felt",
    "Q3_K_S": "the least that stays useful without a matrix",
    "Q2_K": "only where nothing else fits", "Q2_K_S": "the same, with a matrix",
    "IQ4_XS": "Q4_K_S in 5 % less, slower to write",
    "IQ3_M": "Q3_K_M in 6 % less", "IQ3_S": "Q3_K_S with less loss",
    "IQ3_XS": "a little smaller", "IQ3_XXS": "3 bits, no more",
    "IQ2_M": "Q2_K in less", "IQ2_S": "a little smaller", "IQ2_XS": "a little smaller",
    "IQ2_XXS": "the least of large models", "IQ1_M": "to see that it fits",
    "IQ1_S": "to see that it fits",
    "TQ2_0": "models trained to three values", "TQ1_0": "models trained to three values",
    "MXFP4_MOE": "experts of gpt-oss, bit for bit",
    "8bit": "next to no loss", "6bit": "the best that still saves", "5bit": "when 4 bits are felt",
    "4bit": "the usual choice", "3bit": "loss is felt", "2bit": "only where nothing else fits",
    "bf16": "as published", "mxfp4": "experts of gpt-oss, bit for bit",
    "mxfp8": "units of MXFP8", "nvfp4": "units of NVFP4",
    "mixed_2_6": "mlx-lm's mixes", "mixed_3_4": "", "mixed_3_6": "", "mixed_4_6": "",
    "roles_4_5": "more bits where errors cost more",
    "fp8": "servers with FP8 units",
}


def formats():
    """{format: [methods]}, as --help lists them."""
    text = pajamas.run("quantize", "--help").stdout
    words = re.search(r"How much to keep: (.*?) for GGUF; (.*?) for MLX", " ".join(text.split()))
    return {"gguf": words[1].split(), "mlx": words[2].split(), "fp8": ["fp8"]}


def encoders(binary):
    """{type: (millions of weights a second, error of normally distributed weights in %)}."""
    tool = binary.parent / "bench/encoders"
    if not tool.exists():
        return {}
    rows = subprocess.run([tool], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    return {row.split()[0].removesuffix("-BF16"): (row.split()[1], f"{float(row.split()[4]):.2f}") for row in rows}


def usual_type(output):
    weights = {}
    for tensor in output["tensors"]:
        count = 1
        for side in tensor["shape"]:
            count *= side
        weights[tensor["type"]] = weights.get(tensor["type"], 0) + count
    return max(weights, key=weights.get)


def divergence(model, format, method, chunks, matrices, scratch):
    target = scratch / "model"
    flags = ["--method", method] if format != "fp8" else []
    done = pajamas.run("quantize", model, "--format", format, *flags, "--output", target, "--force", check=False)
    marked = ""
    if done.returncode != 0:
        matrix = matrices / f"{model.name}.gguf" if matrices else None
        if matrix is None or not matrix.exists():
            return "-"
        pajamas.run("quantize", model, "--format", format, *flags, "--imatrix", matrix, "--output", target, "--force")
        marked = "*"
    report = pajamas.run_json("validate", target, "--metrics", "kl", "--reference", model, "--ctx", 256, "--chunks",
                              chunks, "--json", timeout=600)
    if target.is_dir():
        for file in target.iterdir():
            file.unlink()
        target.rmdir()
    else:
        target.unlink()
    return f"{max(report['kl_mean'], 0):.5f}{marked}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--imatrix", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.binary:
        pajamas.BINARY = arguments.binary.resolve()
    speeds = encoders(pajamas.BINARY)
    print("| format | method | bits per weight | 7B | error, % | M weights/s | KL tiny-qwen2 | tiny-qwen3-moe | "
          "tiny-gpt-oss | for |\n|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for format, methods in formats().items():
            for method in methods:
                if arguments.methods and method not in arguments.methods:
                    continue
                flags = ["--method", method] if format != "fp8" else []
                report = pajamas.run_json("plan", "--config", PUBLISHED, "--format", format, *flags, "--json")
                output = report["outputs"][0]
                figures = [divergence(m, format, method, arguments.chunks, arguments.imatrix, pathlib.Path(folder))
                           for m in MODELS]
                speed, error = speeds.get(usual_type(output), ("-", "-"))
                print(f"| {format} | {method} | {output['bits_per_weight']:.2f} | {output['file_bytes'] / 1e9:.2f} GB | "
                      f"{error} | {speed} | {' | '.join(figures)} | {USE.get(method, '')} |", flush=True)


if __name__ == "__main__":
    main()
