#!/usr/bin/env python3
"""The main job at full size: one pass from a checkpoint to the formats of a method, then all run.

    bench/full_size.py CHECKPOINT [--scratch DIR] [--limit BYTES] [--binary PATH] [--report FILE]
                       [--method GGUF:MLX | --method GGUF --format gguf | --preset NAME]
                       [--imatrix FILE] [--rounds N] [--peers PYTHON]

Quantizing runs inside a memory cgroup (version 1 or 2) of --limit bytes, page cache included: more
anonymous memory than that and the kernel kills it. Where no cgroup can be made the limit is one on
data segments. Sampled every 50 ms: anonymous memory (RssAnon) and resident set.

With --peers (the python of build/peers) llama.cpp runs the same GGUF file in turn with us, --rounds
times each, and the speed of generation is set against that of memory: what one token reads are all
weights but the embedding, of a mixture of experts those of the experts that a token uses.

tools/make_checkpoint.py makes the checkpoints:

    tools/make_checkpoint.py ../shared/configs/Qwen2.5-7B-Instruct /work/big/qwen2.5-7b
    tools/make_checkpoint.py ../shared/configs/Qwen3-30B-A3B /work/big/qwen3-30b-a3b-12 --layers 12
    tools/make_checkpoint.py ../shared/configs/gpt-oss-20b /work/big/gpt-oss-20b
"""

import argparse
import contextlib
import datetime
import json
import math
import os
import pathlib
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
GIB = 1 << 30


class Cgroup:
    """A memory cgroup of its own, or nothing where none can be made."""

    def __init__(self, limit):
        self.limit, self.path, self.kind = limit, None, "RLIMIT_DATA"
        name = f"llama-pajamas-{os.getpid()}"
        for base, kind, file in (("/sys/fs/cgroup", "cgroup v2", "memory.max"),
                                 ("/sys/fs/cgroup/memory", "cgroup v1", "memory.limit_in_bytes")):
            path = pathlib.Path(base, name)
            try:
                path.mkdir()
            except OSError:
                continue
            try:
                if not (path / file).exists():  # no such hierarchy, or not its memory controller
                    raise FileNotFoundError(path / file)
                (path / file).write_text(str(limit))
                self.path, self.kind = path, kind
                return
            except OSError:
                path.rmdir()

    def enter(self):
        """In the child, before the program starts."""
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_DATA, (self.limit, self.limit))

    def close(self):
        if self.path:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    self.path.rmdir()
                    return
                time.sleep(0.1)


class Sampler(threading.Thread):
    """Largest anonymous and resident memory of a process while it lives."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.anonymous, self.resident = pid, 0, 0

    def run(self):
        while True:
            try:
                status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            if "RssAnon" not in status:
                return
            found = dict(re.findall(r"^(RssAnon|VmHWM):\s+(\d+) kB", status, re.M))
            self.anonymous = max(self.anonymous, int(found["RssAnon"]) * 1024)
            self.resident = max(self.resident, int(found["VmHWM"]) * 1024)
            time.sleep(0.05)


def measure(title, command, limit):
    """Runs it under a limit; a row of the report. `limit` of None: no limit."""
    print(f"\n== {title}\n$ {' '.join(command)}", flush=True)
    group = Cgroup(limit) if limit else None
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                               preexec_fn=group.enter if group else None)
    sampler = Sampler(process.pid)
    sampler.start()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    processor = used.ru_utime + used.ru_stime
    sampler.join()
    if group:
        group.close()
    if process.returncode != 0:
        sys.exit(f"error: status {process.returncode} after {seconds:.1f} s, "
                 f"{sampler.anonymous:,} bytes anonymous")
    kind = f"{limit / GIB:g} GiB ({group.kind})" if group else "none"
    print(f"{seconds:.1f} s, {processor:.1f} s of processors, "
          f"anonymous {sampler.anonymous / 1e6:.0f} MB, "
          f"resident {sampler.resident / 1e6:.0f} MB, limit {kind}", flush=True)
    return dict(title=title, command=command, seconds=seconds, processor=processor,
                anonymous=sampler.anonymous, resident=sampler.resident, limit=kind)


def checkout():
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                          text=True).stdout.strip()


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    flags = re.search(r"^flags\s*:(.*)", info, re.M)
    known = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16")
             if flags and f in flags.group(1).split()]
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    return (f"load average {os.getloadavg()[0]:.1f} before, "
            f"{model.group(1) if model else platform.machine()} ({', '.join(known)}), "
            f"{os.cpu_count()} CPUs, {memory / (1 << 20):.0f} GiB, {platform.platform()}")


def size_of(path):
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(f.stat().st_size for f in files)


def read_stats(path):
    return json.loads(pathlib.Path(path).read_text())


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--scratch", type=pathlib.Path, default=pathlib.Path("/work/big/full-size"))
    parser.add_argument("--limit", type=int, default=GIB, help="bytes, for quantize")
    parser.add_argument("--format", default="gguf,mlx")
    parser.add_argument("--method", default="Q4_K_M:4bit")
    parser.add_argument("--preset", help="in place of format and method")
    parser.add_argument("--imatrix")
    parser.add_argument("--binary", default=str(ROOT / "build/release/llama-pajamas"))
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine and format")
    parser.add_argument("--peers", metavar="PYTHON", help="compare with llama.cpp")
    parser.add_argument("--report", type=pathlib.Path)
    return parser.parse_args()


def wanted(args):
    """What says how to quantize."""
    words = ["--format", args.format, "--method", args.method]
    if args.preset:
        words = ["--preset", args.preset]
    return words + (["--imatrix", args.imatrix] if args.imatrix else [])


def planned(args):
    """{format: planned output} of what is quantized."""
    done = subprocess.run([args.binary, "plan", str(args.checkpoint), *wanted(args), "--json"],
                          check=True, capture_output=True)
    return {output["format"]: output for output in json.loads(done.stdout)["outputs"]}


def written(out, formats):
    """{format: its model}: the one thing that each folder holds, or the output itself."""
    if len(formats) == 1 and not (out / formats[0]).is_dir():
        return {formats[0]: out}
    return {format: min((out / format).iterdir()) for format in formats}


def bytes_per_token(output, config):
    """Weights that one generated token reads: of the embedding one row, of the experts those used."""
    used = config.get("num_experts_per_tok", 0)
    experts = config.get("num_experts") or config.get("num_local_experts") or 1
    names = {t["name"] for t in output["tensors"]}
    tied = not names & {"output.weight", "lm_head.weight"}
    total = 0
    for tensor in output["tensors"]:
        name, size = tensor["name"], tensor["bytes"]
        if name in ("token_embd.weight", "model.embed_tokens.weight") and not tied:
            total += size / tensor["shape"][0]
        elif re.search(r"_exps\.|\.switch_mlp\.|\.mlp\.experts\.", name):
            total += size * used / experts
        else:
            total += size
    return total


PROMPT = ("Explain in simple words why the sky is blue during the day and red in the evening. " * 8)


def run_ours(args, name, path, number):
    """Without a limit, since what is run stays mapped."""
    stats = args.scratch / f"{name}.json"
    stats.unlink(missing_ok=True)
    row = measure(f"run {name}, round {number + 1}", [
        args.binary, "run", str(path), "--raw", "--prompt", PROMPT, "--max-tokens",
        str(args.max_tokens), "--temperature", "0.7", "--seed", "1", "--threads",
        str(args.threads), "--stats", str(stats)], None)
    return row | read_stats(stats)


def run_peer(args, *what):
    done = subprocess.run([args.peers, str(ROOT / "bench/peer_speed.py"), *map(str, what),
                           "--threads", str(args.threads)], check=True, capture_output=True,
                          text=True)
    print(done.stdout.strip(), flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_models(args, paths):
    """{engine: its rounds}, in turn, so that a busy moment hits all of them."""
    rows = {format.upper(): [] for format in paths} | {"llama.cpp": []}
    for number in range(args.rounds):
        for format, path in paths.items():
            rows[format.upper()].append(run_ours(args, format, path, number))
        if args.peers and "gguf" in paths:
            rows["llama.cpp"].append(run_peer(
                args, paths["gguf"], "--prompt-tokens", rows["GGUF"][-1]["prompt_tokens"],
                "--max-tokens", args.max_tokens))
    return {name: some for name, some in rows.items() if some}


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def speed_table(rows, per_token, bandwidth):
    """Lines of the report; `bandwidth` of None leaves the last column empty."""
    yield "| engine and file | prompt tokens/s | generation tokens/s | read a token | of bandwidth |"
    yield "|---|---|---|---|---|"
    for name, some in rows.items():
        size = per_token["gguf" if name == "llama.cpp" else name.lower()]
        generation = median(some, "generation_tokens_per_second")
        share = f"{generation * size / bandwidth:.0%}" if bandwidth else ""
        label = "llama.cpp, the same GGUF" if name == "llama.cpp" else f"ours, {name}"
        yield (f"| {label} | {median(some, 'prompt_tokens_per_second'):.1f} | {generation:.2f} | "
               f"{size / 1e9:.3f} GB | {share} |")


def shown(command):
    return " ".join(repr(a[:40] + "...") if len(a) > 60 else a for a in command).replace(
        str(ROOT) + "/", "")


def main():
    args = parse_arguments()
    described = machine()
    out = args.scratch / "quantized"
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    outputs = planned(args)
    quantize = measure(f"quantize to {' and '.join(outputs)} in one pass", [
        args.binary, "quantize", str(args.checkpoint), *wanted(args), "--threads",
        str(args.threads), "--output", str(out)], args.limit)
    paths = written(out, list(outputs))
    rows = run_models(args, paths)
    bandwidth = run_peer(args, "--bandwidth")["bytes_per_second"] if args.peers else None
    config = read_stats(args.checkpoint / "config.json")
    weights = sum(size_of(f) for f in args.checkpoint.glob("*.safetensors"))
    name = f"{config['model_type']}, {config['num_hidden_layers']} layers, {weights / 1e9:.1f} GB"
    lines = [
        f"# Full size: {args.checkpoint.name}", "",
        f"{datetime.date.today()}, checkout at {checkout()} when it ended, {described}.",
        f"Checkpoint: {name}, generated by `tools/make_checkpoint.py` (Gaussian weights, outlier "
        "channels).", f"Written by `bench/full_size.py {' '.join(sys.argv[1:])}`.", "",
        "| step | wall time | processor time | peak anonymous | peak resident | memory limit |",
        "|---|---|---|---|---|---|"]
    first = [quantize, *(some[0] for key, some in rows.items() if key != "llama.cpp")]
    for row in first:
        lines.append(f"| {row['title']} | {row['seconds']:.1f} s | {row['processor']:.1f} s "
                     f"| {row['anonymous'] / 1e6:.0f} MB "
                     f"| {row['resident'] / 1e6:.0f} MB | {row['limit']} |")
    parameters = sum(math.prod(t["shape"]) for t in next(iter(outputs.values()))["tensors"])
    lines += ["", f"Quantizing: {parameters / quantize['seconds'] / 1e6:.1f} M weights/s for all "
              f"formats together (wall; {parameters / quantize['processor'] / 1e6:.1f} M of one "
              f"processor; {weights / quantize['seconds'] / 1e6:.0f} MB/s read).", ""]
    for key, path in paths.items():
        lines.append(f"- {path.name}: {size_of(path):,} bytes, planned "
                     f"{outputs[key]['file_bytes']:,}")
    per_token = {key: bytes_per_token(output, config) for key, output in outputs.items()}
    ours = next(iter(rows.values()))[0]
    lines += ["", f"Prompt of {ours['prompt_tokens']} tokens, {ours['generated_tokens']} generated, "
              f"{args.threads} threads; medians of {args.rounds} rounds, the engines in turn."]
    if bandwidth:
        lines[-1] += f" The threads read memory at {bandwidth / 1e9:.1f} GB/s."
    for peer in rows.get("llama.cpp", [])[:1]:
        lines[-1] += f" llama.cpp's build: {', '.join(peer['features'])}."
    lines += ["", *speed_table(rows, per_token, bandwidth), "", "Commands:", "```sh"]
    lines += [shown(row["command"]) for row in first]
    lines += ["```", ""]
    report = args.report or ROOT / f"bench/results/full-size-{args.checkpoint.name}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("\n".join(lines))
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
