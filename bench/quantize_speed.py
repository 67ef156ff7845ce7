#!/usr/bin/env python3
"""Quantizing beside the stock tools, in one run on one machine.

    bench/quantize_speed.py SCRATCH [--config DIR] [--layers 1,2,4] [--checkpoint DIR]
                            [--rounds N] [--report FILE] [--disk]

Run it with the Python of tools/setup_peers.sh (llama-cpp-python, mlx, gguf, numpy, safetensors).
Measured, ours and theirs in turn, in wall and in processor seconds (on a machine that others use
too, processor seconds are the fair figure):

- every encoder, one thread: weights/s of ours (bench/encoders) and of ggml_quantize_chunk and
  mx.quantize, on the same kind of weights;
- one pass to Q4_K_M and MLX 4-bit, and the stock chain for the same two files: conversion to a BF16
  GGUF (the writer of the gguf package, a tensor at a time, as the converter does),
  llama_model_quantize from it, and mx.quantize of every matrix with the result saved;
- shares of time of our stages, 1 and 2 threads, and models of more and more layers.

With --disk only this is measured, and printed: quantizing the checkpoint to MLX 4-bit alone, in turn
with reading the same files (cat) and writing the result's bytes (dd, synced), each with an empty page
cache (which needs root).
"""

import argparse
import ctypes
import datetime
import glob
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

from full_size import checkout

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/release"
GGUF_TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
MLX_BITS = (2, 3, 4, 5, 6, 8)


def cpu_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def timed(command, env=None):
    """Wall and processor seconds of a program, and what it printed."""
    began, used = time.monotonic(), cpu_seconds(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=env)
    wall, cpu = time.monotonic() - began, cpu_seconds(resource.RUSAGE_CHILDREN) - used
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return wall, cpu, done.stdout


# --- the stock tools, each run as a process of its own: this file with --stock STEP ---------------


def threads_of(environment):
    return int(environment.get("PEER_THREADS", "2"))


def stock_convert(model, output):
    """A BF16 GGUF written as the converter writes it: metadata by ours, tensors by the gguf package."""
    import gguf
    import numpy as np
    import mlx.core as mx
    config = json.loads((model / "config.json").read_text())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    skeleton = gguf.GGUFReader(output.with_name("skeleton.gguf"))  # for its metadata
    writer = gguf.GGUFWriter(output, "qwen2", use_temp_file=False)
    for key, field in skeleton.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub)
    tensors = {}
    for shard in sorted(model.glob("*.safetensors")):
        tensors.update(mx.load(str(shard)))
    for name in list(tensors):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        value = tensors.pop(name)
        if value.ndim == 1:
            data, kind = np.array(value.astype(mx.float32)), None
        else:
            data, kind = np.array(value.view(mx.uint16)), gguf.GGMLQuantizationType.BF16
            data = data.view(np.uint8)
        writer.add_tensor(target, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stock_quantize(source, output):
    import llama_cpp
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = threads_of(os.environ)
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    if llama_cpp.llama_model_quantize(str(source).encode(), str(output).encode(), params) != 0:
        sys.exit("error: llama_model_quantize failed")


def stock_mlx(model, output):
    """mlx_lm.convert's work on the tensors: quantized, evaluated and saved, a shard at a time."""
    import mlx.core as mx
    mx.set_default_device(mx.cpu)
    output.mkdir(parents=True, exist_ok=True)
    for shard in sorted(model.glob("*.safetensors")):
        result = {}
        for name, value in mx.load(str(shard)).items():
            if value.ndim == 1:
                result[name] = value
                continue
            base = name.removesuffix("weight")
            result[name], result[base + "scales"], result[base + "biases"] = mx.quantize(
                value, group_size=64, bits=4)
        mx.save_safetensors(str(output / shard.name), result)


def stock_encoders():
    """Processor and wall weights/s of one thread, printed as JSON."""
    import gguf
    import llama_cpp
    import mlx.core as mx
    import numpy as np
    mx.set_default_device(mx.cpu)
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    lib = ctypes.CDLL(sorted(glob.glob(os.path.join(folder, "libggml-base.so*")))[0])
    i64, pointer = ctypes.c_int64, ctypes.c_void_p
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, i64, i64, i64, pointer]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    rows, cols = 128, 3584
    weights = (np.random.default_rng(1).standard_normal((rows, cols)) * 0.03).astype(np.float32)
    out = ctypes.create_string_buffer(weights.nbytes + 4096)

    def rate(action):
        best = 0.0
        action()
        for _ in range(3):
            began = time.process_time()
            action()
            best = max(best, rows * cols / max(time.process_time() - began, 1e-9) / 1e6)
        return best
    found = {}
    for name in GGUF_TYPES:
        kind = int(gguf.GGMLQuantizationType[name])
        found[name] = rate(lambda: lib.ggml_quantize_chunk(
            kind, weights.ctypes.data, ctypes.cast(out, pointer), 0, rows, cols, None))
    array = mx.array(weights).astype(mx.bfloat16)
    mx.eval(array)
    for bits in MLX_BITS:
        found[f"MLX {bits}"] = rate(lambda: mx.eval(mx.quantize(array, group_size=64, bits=bits)))
    print(json.dumps(found))


# --- measuring ------------------------------------------------------------------------------------


def our_encoders():
    """M weights/s by type, of one thread."""
    _, _, text = timed([str(BUILD / "bench/encoders")])
    found = {}
    for line in text.splitlines():
        row = re.match(r"(\S+)\s+([\d.]+)\s+\d+\s", line)
        if row:
            found[row[1]] = float(row[2])
    return found


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, "
            f"{memory / (1 << 20):.0f} GiB, {platform.platform()}")


def our_pass(model, scratch, threads):
    out = scratch / "ours"
    wall, cpu, text = timed([str(BUILD / "bench/quantize_pass"), str(model), str(out), str(threads)])
    shutil.rmtree(out)
    return json.loads(text) | {"total_wall": wall, "total_cpu": cpu}


def stock_step(step, *args, threads=2):
    env = dict(os.environ, PEER_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    return timed([sys.executable, __file__, "--stock", step, *map(str, args)], env)


def stock_chain(model, scratch):
    """(wall, processor) seconds of convert, quantize and MLX."""
    bf16, q4, mlx = scratch / "bf16.gguf", scratch / "q4.gguf", scratch / "mlx-stock"
    timed([str(BUILD / "llama-pajamas"), "quantize", str(model), "--format", "gguf", "--method",
           "BF16", "--output", str(scratch / "skeleton.gguf"), "--force"])
    steps = {"convert": stock_step("convert", model, bf16)[:2]}
    (scratch / "skeleton.gguf").unlink()
    steps["quantize"] = stock_step("quantize", bf16, q4)[:2]
    bf16.unlink()
    q4.unlink()
    steps["mlx"] = stock_step("mlx", model, mlx)[:2]
    shutil.rmtree(mlx)
    return steps


def make_model(args, layers):
    model = args.scratch / f"layers-{layers}"
    if not (model / "config.json").exists():
        timed([sys.executable, str(ROOT / "tools/make_checkpoint.py"), str(args.config), str(model),
               "--layers", str(layers)])
    return model


def spread(values):
    middle = statistics.median(values)
    return f"{middle:.1f}" + (f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else "")


def encoder_table(ours, theirs):
    lines = ["| type | ours | stock | ratio |", "|---|---|---|---|"]
    for name in [*GGUF_TYPES, *(f"MLX {bits}" for bits in MLX_BITS)]:
        key = f"{name[4:]}bit-g64-BF16" if name.startswith("MLX") else name
        label = f"{name} bit, groups of 64" if name.startswith("MLX") else name
        lines.append(f"| {label} | {ours[key]:.0f} | {theirs[name]:.1f} | "
                     f"{ours[key] / theirs[name]:.1f} |")
    return lines


def pass_table(rows):
    lines = ["| layers | threads | weights | wall s | processor s | ns/weight (processor) | "
             "decode | encode GGUF | encode MLX | sync | idle | (read | write) | peak anonymous |",
             "|" + "---|" * 14]
    for layers, row in rows:
        available = row["wall"] * row["threads"]
        stages = [row[k] / available for k in ("decode", "encode_gguf", "encode_mlx")]
        stages.append(row["sync"] * row["threads"] / available)
        stages.append(max(0.0, 1 - sum(stages)))  # reading and writing go on beside them
        stages += [row[k] / available for k in ("read", "write")]
        shares = " | ".join(f"{100 * s:.1f} %" for s in stages)
        lines.append(
            f"| {layers} | {row['threads']} | {row['weights'] / 1e9:.2f} G | {row['total_wall']:.1f} "
            f"| {row['total_cpu']:.1f} | {row['total_cpu'] / row['weights'] * 1e9:.2f} | {shares} | "
            f"{row['peak_anonymous'] / 1e6:.0f} MB |")
    return lines


def drop_caches():
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError as error:
        sys.exit(f"error: cannot empty the page cache: {error}")


def compare_with_disk(args, model):
    """Lines of a table: MLX 4-bit alone, and the disk moving the same bytes."""
    ours, disk = [], []
    out, copy = args.scratch / "mlx-alone", args.scratch / "copy"
    for number in range(args.rounds):
        print(f"round {number + 1}", flush=True)
        drop_caches()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall, _, _ = timed([str(BUILD / "llama-pajamas"), "quantize", str(model), "--format", "mlx",
                            "--method", "4bit", "--output", str(out), "--force"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours.append((wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime))
        drop_caches()
        read = timed(["sh", "-c", f"cat '{model}'/*.safetensors >/dev/null"])[0]
        drop_caches()
        timed(["sh", "-c", f"cat '{out}'/*.safetensors >/dev/null"])  # so that dd need not read
        write = timed(["sh", "-c", f"cat '{out}'/*.safetensors | dd of='{copy}' bs=4M "
                       "iflag=fullblock conv=fsync"])[0]
        written = copy.stat().st_size
        copy.unlink()
        disk.append((read, write))
    shutil.rmtree(out)
    size = sum(f.stat().st_size for f in model.glob("*.safetensors"))
    ratios = [o[0] / sum(d) for o, d in zip(ours, disk)]
    return [f"{size / 1e9:.1f} GB read, {written / 1e9:.1f} GB written; load average at the end "
            f"{os.getloadavg()[0]:.1f}.", "",
            "| | wall s | user s | system s |", "|---|---|---|---|",
            "| ours | " + " | ".join(spread([o[i] for o in ours]) for i in range(3)) + " |",
            f"| cat the checkpoint | {spread([d[0] for d in disk])} | | |",
            f"| dd the result | {spread([d[1] for d in disk])} | | |", "",
            f"Ours takes {min(ratios):.2f} to {max(ratios):.2f} times as long as the disk."]


def compare(args, model, lines):
    ours, chains = [], []
    for number in range(args.rounds):
        print(f"round {number + 1}: ours", flush=True)
        ours.append(our_pass(model, args.scratch, 2))
        print(f"round {number + 1}: stock chain", flush=True)
        chains.append(stock_chain(model, args.scratch))
    lines += ["| step | wall s | processor s |", "|---|---|---|",
              f"| ours: one pass to both | {spread([r['total_wall'] for r in ours])} | "
              f"{spread([r['total_cpu'] for r in ours])} |"]
    for step in ("convert", "quantize", "mlx"):
        lines.append(f"| stock: {step} | {spread([c[step][0] for c in chains])} | "
                     f"{spread([c[step][1] for c in chains])} |")
    walls = [sum(s[0] for s in c.values()) / r["total_wall"] for c, r in zip(chains, ours)]
    cpus = [sum(s[1] for s in c.values()) / r["total_cpu"] for c, r in zip(chains, ours)]
    lines += ["", f"The stock chain takes {spread(walls)} times as long (wall), "
              f"{spread(cpus)} times the processor time."]
    return ours[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--config", type=pathlib.Path,
                        default=ROOT.parent / "shared/configs/Qwen2.5-7B-Instruct")
    parser.add_argument("--layers", default="4,8,16")
    parser.add_argument("--checkpoint", type=pathlib.Path, help="for the comparison with the chain")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--report", type=pathlib.Path,
                        default=ROOT / "bench/results/quantize-speed.md")
    parser.add_argument("--disk", action="store_true", help="only MLX 4-bit beside the disk")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD)
    args = parser.parse_args()
    globals()["BUILD"] = args.build.resolve()
    args.scratch.mkdir(parents=True, exist_ok=True)
    layers = [int(n) for n in args.layers.split(",")]
    if args.disk:
        model = args.checkpoint or make_model(args, layers[0])
        print("\n".join(compare_with_disk(args, model)))
        return
    lines = ["# Speed of quantizing, beside the stock tools", "",
             f"{datetime.date.today()}, commit {checkout()}, {machine()}; load average at the start "
             f"{os.getloadavg()[0]:.1f}.", "",
             f"Command: `bench/quantize_speed.py {' '.join(sys.argv[1:])}`", "",
             "## Encoders, M weights/s of one core", "",
             "Ours: best of several, wall clock. Stock (ggml_quantize_chunk without an importance "
             "matrix, mx.quantize on the CPU): best of three, processor time.", ""]

    def save():
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text("\n".join(lines) + "\n")

    theirs = json.loads(stock_step("encoders", threads=1)[2])
    lines += encoder_table(our_encoders(), theirs)
    save()
    model = args.checkpoint or make_model(args, layers[0])
    lines += ["", f"## {model.name}: one pass to Q4_K_M and MLX 4-bit, 2 threads each", ""]
    first = compare(args, model, lines)
    save()
    rows = [(model.name, first)]
    for count in layers:
        model = make_model(args, count)
        for threads in (1, 2):
            print(f"{count} layers, {threads} threads", flush=True)
            rows.append((count, our_pass(model, args.scratch, threads)))
        if count != layers[0]:
            shutil.rmtree(model)
    lines += ["", "## Stages, threads and layers", "",
              "Shares of wall time times threads; reading and writing go on beside the rest. The "
              "embedding and the output matrix (1.09 G weights) do not grow with layers.", "", *pass_table(rows)]
    save()
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stock"]:
        steps = {"convert": stock_convert, "quantize": stock_quantize, "mlx": stock_mlx,
                 "encoders": stock_encoders}
        steps[sys.argv[2]](*map(pathlib.Path, sys.argv[3:]))
    else:
        main()
