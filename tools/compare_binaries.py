#!/usr/bin/env python3
"""Shows that two builds of llama-pajamas do the same: compare_binaries.py BEFORE AFTER

Each case is a command that both binaries run in a folder of their own. Compared are the status, what
was printed, and the bytes of every file that was written:
- quantize: every method of both formats from every model of models/;
- plan, inspect, tokenize: their JSON;
- validate: perplexity and KL to the last digit, so that one bit of one logit shows;
- run: greedy and sampled answers, int8 and exact products, every type of keys and values;
- errors: status and error line of bad options and damaged files.

  --quick        one model's checkpoint and five methods
  --only TEXT    cases whose name contains TEXT
  --tolerance X  figures of validate may differ by this much (1e-10 where sums were regrouped)
  --keep-cache   run without --kv-cache f32 (where the default did not change)
Ends with 1 where something differs; each difference is one line.
"""
import argparse
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ["tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"]
GGUF = ("F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S Q3_K_L Q3_K_M Q3_K_S Q2_K Q2_K_S Q4_0 "
        "Q4_1 Q5_0 Q5_1 MXFP4_MOE").split()
MLX = "2bit 3bit 4bit 5bit 6bit 8bit bf16 mxfp4".split()
QUICK = {"Q4_K_M", "Q8_0", "Q3_K_S", "4bit", "bf16"}
# What may differ from run to run: rates, times, memory, the path of the scratch folder.
VOLATILE = re.compile(r"(seconds|_per_second|rate|memory|resident|bytes_read|threads|version|date|free)",
                      re.IGNORECASE)


class Case:
    def __init__(self, name, arguments, stdin="", messages=False):
        self.name, self.arguments, self.stdin, self.messages = name, arguments, stdin, messages


def quantize_cases(models, quick):
    for model in models:
        for method in GGUF + MLX:
            if quick and method not in QUICK:
                continue
            form = "mlx" if method in MLX else "gguf"
            output = f"{model}-{method}" + (".gguf" if form == "gguf" else "")
            yield Case(f"quantize {output}",
                       ["quantize", f"{{root}}/models/{model}", "--format", form, "--method", method,
                        "--allow-requantize", "--output", output, "--quiet"])
        for group in (32, 128):
            yield Case(f"quantize {model} groups of {group}",
                       ["quantize", f"{{root}}/models/{model}", "--format", "mlx", "--method", "4bit",
                        "--group-size", str(group), "--mixed-precision", "--allow-requantize",
                        "--output", f"{model}-g{group}", "--quiet"])
        yield Case(f"quantize {model} flags",
                   ["quantize", f"{{root}}/models/{model}", "--method", "Q4_K_M:4bit", "--format",
                    "gguf,mlx", "--architecture-aware", "--allow-requantize", "--output",
                    f"{model}-flags", "--quiet"])


def requantize_cases(models):
    for model in models:
        yield Case(f"requantize {model} GGUF to MLX",
                   ["quantize", f"{model}-Q8_0.gguf", "--format", "mlx", "--method", "4bit",
                    "--allow-requantize", "--output", f"{model}-again", "--quiet"])
        yield Case(f"requantize {model} MLX to GGUF",
                   ["quantize", f"{model}-4bit", "--method", "Q4_K_M", "--allow-requantize", "--output",
                    f"{model}-again.gguf", "--quiet"])


def outputs(models, quick):
    for model in models:
        for method in GGUF + MLX:
            if not quick or method in QUICK:
                yield f"{model}-{method}" + ("" if method in MLX else ".gguf")


def reading_cases(models, quick, cache):
    for model in models:
        yield Case(f"plan {model}", ["plan", f"{{root}}/models/{model}", "--method", "Q4_K_M:4bit",
                                     "--format", "gguf,mlx", "--allow-requantize", "--json"])
        yield Case(f"inspect {model}", ["inspect", f"{{root}}/models/{model}", "--json"])
        yield Case(f"tokenize {model}", ["tokenize", f"{{root}}/models/{model}", "--file",
                                         "{root}/models/eval/heldout.txt", "--json"])
        yield Case(f"validate {model} long context",
                   ["validate", f"{{root}}/models/{model}", "--ctx", "1024", "--chunks", "1", "--json"])
        for kv in ("f16", "bf16", "q8_0", "q4_0", "q3_0"):
            yield Case(f"validate {model} {kv}",
                       ["validate", f"{{root}}/models/{model}", "--kv-cache", kv, "--chunks", "1",
                        "--json"])
    for path in outputs(models, quick):
        model = next(m for m in models if path.startswith(m))
        yield Case(f"inspect {path}", ["inspect", path, "--json"])
        yield Case(f"validate {path}",
                   ["validate", path, "--metrics", "perplexity,kl", "--reference",
                    f"{{root}}/models/{model}", "--chunks", "1", "--json"])
        yield Case(f"validate {path} int8",
                   ["validate", path, "--activations", "int8", "--chunks", "1", "--json"])
        yield Case(f"run {path} greedy",
                   ["run", path, "--raw", "--prompt", "My fellow citizens", "--max-tokens", "48",
                    "--temperature", "0", "--quiet", *cache])
        yield Case(f"run {path} sampled",
                   ["run", path, "--prompt", "What is the state of the union?", "--max-tokens", "48",
                    "--temperature", "1", "--seed", "7", "--quiet", *cache])
    for model in models:
        yield Case(f"run {model} chat",
                   ["run", f"{{root}}/models/{model}", "-i", "--max-tokens", "24", "--seed", "3",
                    *cache], stdin="Who are you?\nAnd the people?\n/exit\n")


def error_cases(models):
    model = f"{{root}}/models/{models[0]}"
    wrong = [
        ["quantize", model, "--method", "Q4_K_X", "--output", "x.gguf"],
        ["quantize", model, "--method", "Q4_K_M"],
        ["quantize", model, "--method", "Q4_K_M", "--tensor-type", "ffn[=Q6_K", "--output", "x.gguf"],
        ["quantize", model, "--method", "Q4_K_M", "--tensor-type", "ffn=Q9", "--output", "x.gguf"],
        ["quantize", model, "--format", "mlx", "--method", "4bit", "--group-size", "48", "--output", "x"],
        ["quantize", "no/such/folder", "--method", "Q4_K_M", "--output", "x.gguf", "--no-download"],
        ["quantize", model, "--method", "Q4_K_M", "--output", "cut.gguf/x.gguf"],
        ["run", "{root}/README.md", "--prompt", "x"],
        ["run", model, "--prompt", "x", "--backend", "none"],
        ["run", model, "--prompt", "x", "--kernels", "none"],
        ["run", model, "--prompt", "x", "--kv-cache", "q9"],
        ["run", model, "--prompt", "x", "--ctx", "100000000000"],
        ["run", model, "--prompt", "x", "--threads", "0"],
        ["run", "cut.gguf", "--prompt", "x"],
        ["run", "flipped.gguf", "--prompt", "x"],
        ["inspect", "cut.gguf"], ["inspect", "flipped.gguf"],
        ["validate", "cut.gguf"], ["validate", model, "--metrics", "kl"],
        ["validate", model, "--text", "/no/such/text"],
        ["validate", model, "--metrics", "beauty"],
        ["tokenize", model], ["nonsense"], [],
    ]
    for arguments in wrong:
        yield Case("error " + " ".join(arguments), arguments, messages=True)


def without_volatile(value):
    if isinstance(value, dict):
        return {k: without_volatile(v) for k, v in value.items() if not VOLATILE.search(k)}
    if isinstance(value, list):
        return [without_volatile(v) for v in value]
    return value


class Side:
    """One binary, in a folder of its own with the same names in it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = pathlib.Path(binary).resolve(), folder
        folder.mkdir()
        home = folder / "home"
        home.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8",
                            "TERM": "dumb", "COLUMNS": "100"}

    def run(self, case):
        before = self.files()
        arguments = [a.replace("{root}", str(ROOT)) for a in case.arguments]
        done = subprocess.run([self.binary, *arguments], cwd=self.folder, env=self.environment,
                              input=case.stdin.encode(), capture_output=True, timeout=600)
        out = done.stdout.decode(errors="replace")
        try:
            printed = without_volatile(json.loads(out))
        except ValueError:
            printed = out
        lines = done.stderr.decode(errors="replace").splitlines() if case.messages else []
        messages = [line for line in lines if line.startswith("error")]
        written = {name: digest for name, digest in self.files().items() if before.get(name) != digest}
        return {"status": done.returncode, "printed": printed, "messages": messages, "files": written}

    def files(self):
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and "home" not in path.relative_to(self.folder).parts:
                stat = path.stat()
                found[str(path.relative_to(self.folder))] = self.digest(path, stat)
        return found

    def digest(self, path, stat):
        key = (path, stat.st_mtime_ns, stat.st_size)
        known = self.__dict__.setdefault("known", {})
        if key not in known:
            known[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return known[key]


def same(a, b, tolerance):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return a == b


def brief(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 200 else text[:200] + "..."


def difference(case, results, tolerance):
    """A line for the first thing that differs, or None."""
    before, after = results
    allowed = tolerance if case.name.startswith("validate") else 0
    for key in before:
        if not same(before[key], after[key], allowed):
            if key == "files":
                names = sorted(n for n in before[key].keys() | after[key].keys()
                               if before[key].get(n) != after[key].get(n))
                return f"{case.name}: files differ: {', '.join(names)}"
            return f"{case.name}: {key}: {brief(before[key])} | {brief(after[key])}"
    return None


def damage(folder):
    """A GGUF that ends early, and one with a bit changed in its header."""
    whole = (folder / "tiny-qwen2-Q8_0.gguf").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[:len(whole) // 2])
    (folder / "flipped.gguf").write_bytes(whole[:40] + bytes([whole[40] ^ 0x80]) + whole[41:])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--keep-cache", action="store_true")
    options = parser.parse_args()
    models = MODELS[:1] if options.quick else MODELS
    cache = [] if options.keep_cache else ["--kv-cache", "f32"]
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
    found, count = [], 0
    try:
        sides = [Side(options.before, scratch / "before"), Side(options.after, scratch / "after")]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            def compare(cases):
                nonlocal count
                for case in cases:
                    # What later cases read is always made.
                    if options.only not in case.name and not case.name.startswith("quantize"):
                        continue
                    results = list(pool.map(lambda side: side.run(case), sides))
                    count += 1
                    line = difference(case, results, options.tolerance)
                    if line:
                        found.append(line)
                        print(line, flush=True)

            compare(quantize_cases(models, options.quick))
            for side in sides:
                damage(side.folder)
            compare(requantize_cases(models))
            compare(reading_cases(models, options.quick, cache))
            compare(error_cases(models))
    finally:
        shutil.rmtree(scratch)
    print(f"{count} cases, {len(found)} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
