#!/usr/bin/env python3
"""`validate --memory-budget` on a model that is larger than its memory: time, bytes read, memory.

    bench/scoring_pass.py MODEL [--limit BYTES] [--chunks LIST] [--ctx N] [--binary PATH]
                          [--report FILE]

Scores the built-in text in passes of the given numbers of chunks, each inside a memory cgroup
(version 1 or 2) of --limit bytes, page cache included, with a cold cache, beside
- reading: the model's files read once from a cold cache, in order, inside such a cgroup;
- computing: the processor's time of the pass over the threads, which a busy machine does not
  stretch as it does the clock.
A pass should take no longer than the longer of the two plus 15 %, and read each byte once.
Dropping the cache needs root. Checkpoints as for bench/full_size.py.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

from full_size import Cgroup, ROOT, Sampler, checkout, machine


class DiskReads(threading.Thread):
    """Bytes that a process had read from the disk when it was last seen."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.bytes = pid, 0

    def run(self):
        with contextlib.suppress(OSError, AttributeError):
            while True:
                text = pathlib.Path(f"/proc/{self.pid}/io").read_text()
                self.bytes = max(self.bytes, int(re.search(r"^read_bytes: (\d+)", text, re.M)[1]))
                time.sleep(0.05)


def drop_cache():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")


def limited(command, limit):
    """Wall and processor seconds, memory and bytes read, from a cold cache inside a cgroup."""
    drop_cache()
    group = Cgroup(limit)
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                               preexec_fn=group.enter)
    sampler, reads = Sampler(process.pid), DiskReads(process.pid)
    sampler.start(), reads.start()
    out = process.communicate()[0]
    seconds, after = time.monotonic() - began, os.times()
    sampler.join(), reads.join()
    group.close()
    if process.returncode != 0:
        sys.exit(f"error: status {process.returncode} of {' '.join(command)}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return dict(seconds=seconds, cpu=cpu, anonymous=sampler.anonymous, resident=sampler.resident,
                read=reads.bytes, kind=group.kind, out=out)


def weight_files(model):
    return [model] if model.is_file() else sorted(
        f for f in model.iterdir() if f.suffix in (".safetensors", ".gguf"))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=2_000_000_000)
    parser.add_argument("--chunks", default="1,8")
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", default=str(ROOT / "build/release/llama-pajamas"))
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    files = weight_files(args.model)
    size = sum(f.stat().st_size for f in files)
    described = machine()
    reading = limited(["sh", "-c", 'for f; do dd if="$f" of=/dev/null bs=4M status=none; done', "sh",
                       *map(str, files)], args.limit)
    lines = [f"# Scoring in little memory: {args.model.name}", "",
             f"{datetime.date.today()}, checkout at {checkout()}, {described}. {size / 1e9:.2f} GB of "
             f"weights, {args.limit / 1e9:g} GB of memory ({reading['kind']}), {args.threads} "
             f"threads, chunks of {args.ctx}. Written by `bench/scoring_pass.py`.", "",
             f"Reading alone takes {reading['seconds']:.1f} s "
             f"({size / reading['seconds'] / 1e6:.0f} MB/s).", "",
             "| chunks | pass | computing | read from disk | anonymous | resident | of the slower |",
             "|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for chunks in args.chunks.split(","):
        row = limited([args.binary, "validate", str(args.model), "--ctx", str(args.ctx), "--chunks",
                       chunks, "--threads", str(args.threads), "--memory-budget", str(args.limit)],
                      args.limit)
        computing = row["cpu"] / args.threads
        lines.append(
            f"| {chunks} | {row['seconds']:.1f} s | {computing:.1f} s | {row['read'] / 1e9:.2f} GB | "
            f"{row['anonymous'] / 1e6:.0f} MB | {row['resident'] / 1e6:.0f} MB | "
            f"{row['seconds'] / max(computing, reading['seconds']):.2f} |")
        print(lines[-1], row["out"].splitlines()[0], sep="\n", flush=True)
    if args.report:
        args.report.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
