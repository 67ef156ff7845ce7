#!/usr/bin/env python3
"""Everything that `validate` measures, on a model that was trained for real: SmolLM2-135M-Instruct.

    bench/judge_real.py [--model FILE] [--forms LIST] [--chunks N] [--limit N] [--problems N]
                        [--max-tokens N] [--binary PATH] [--report FILE]

The original is what the Python registry has (tools/fetch_smollm.py): a GGUF file in Q4_1, so that forms
on the same grid lose nearly nothing. It is quantized to each of --forms, and each is judged against it:
perplexity, loss, KL on the built-in prose and on the built-in chat. The first form answers MMLU's
first --limit questions of each subject without examples, in pairs with the original (McNemar), and
both complete the first --problems of HumanEval, whose programs run inside bubblewrap.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from full_size import ROOT, checkout, machine


def original():
    return subprocess.run([sys.executable, ROOT / "tools/fetch_smollm.py"], check=True, text=True,
                          capture_output=True).stdout.strip()


class Program:
    def __init__(self, binary):
        self.binary, self.seconds = binary, {}

    def run(self, what, *args):
        begun = time.monotonic()
        done = subprocess.run([self.binary, *map(str, args)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
        self.seconds[what] = self.seconds.get(what, 0) + time.monotonic() - begun
        if done.returncode != 0:
            sys.exit(f"error: status {done.returncode} of {' '.join(map(str, args))}")
        print(what, f"{self.seconds[what]:.1f} s so far", file=sys.stderr, flush=True)
        return done.stdout

    def judge(self, what, *args):
        return json.loads(self.run(what, "validate", *args, "--json"))


def text_row(form, size, text):
    return (f"| {form} | {size / 1e6:.1f} MB | {text['perplexity']:.3f} ± "
            f"{text['perplexity_stderr']:.3f} | {text['loss_percent']:+.2f} ± "
            f"{text['loss_percent_stderr']:.2f} %{'' if text['loss_counts'] else ' (chance)'} | "
            f"{text['kl_mean']:.5f} ± {text['kl_stderr']:.5f} | {text['kl_p99']:.4f} | "
            f"{text['top1'] * 100:.1f} % |")


HEAD = ["| form | size | perplexity | loss | mean KL (nats) | 99 % of KL below | same top token |",
        "|---|---|---|---|---|---|---|"]


def texts(args, program, model, forms):
    prose, chat, tokens = [], [], ()
    for form, path in forms.items():
        figures = program.judge("text", path, "--metrics", "perplexity,kl", "--reference", model,
                                "--chunks", args.chunks, "--texts", "chat")
        talk = figures["texts"][0]
        size, tokens = path.stat().st_size, (figures["tokens"], talk["tokens"])
        prose.append(text_row(form, size, figures)), chat.append(text_row(form, size, talk))
    return [f"## Prose: {tokens[0]} tokens are scored, the original's perplexity is "
            f"{figures['reference_perplexity']:.3f}", "", *HEAD, *prose, "",
            f"## Chat: {tokens[1]} tokens of the assistant's, the original's perplexity is "
            f"{talk['reference_perplexity']:.3f}", "", *HEAD, *chat, ""]


def mmlu(args, program, model, form, path):
    figures = program.judge("mmlu", path, "--metrics", "mmlu", "--reference", model, "--shots", 0,
                            "--limit", args.limit)["mmlu"]
    low, high = figures["interval"]
    return [f"## MMLU, the first {args.limit} of each of {len(figures['subjects'])} subjects, 0-shot", "",
            "| questions | original | " + form + " (95 %) | difference | McNemar's p |",
            "|---|---|---|---|---|",
            f"| {figures['questions']} | {figures['reference_accuracy'] * 100:.1f} % | "
            f"{figures['accuracy'] * 100:.1f} % ({low * 100:.1f} to {high * 100:.1f}) | "
            f"{figures['difference'] * 100:+.1f} ± {figures['difference_stderr'] * 100:.1f} points | "
            f"{figures['mcnemar_p']:.2f} |", "", "Chance is 25 %.", ""]


def humaneval(args, program, models):
    lines = [f"## HumanEval, the first {args.problems} problems, one greedy sample of at most "
             f"{args.max_tokens} tokens", "", "| model | passed | pass@1 |", "|---|---|---|"]
    for name, path in models.items():
        figures = program.judge("humaneval", path, "--metrics", "humaneval", "--limit", args.problems,
                                "--max-tokens", args.max_tokens)["humaneval"]
        lines.append(f"| {name} | {figures['passed']} of {figures['problems']} | "
                     f"{figures['pass_at_1'] * 100:.1f} % |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--forms", default="Q4_K_M,Q8_0,Q3_K_M,IQ4_XS")
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--limit", type=int, default=2)
    parser.add_argument("--problems", type=int, default=6)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--binary", default=str(ROOT / "build/release/llama-pajamas"))
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    described, program = machine(), Program(args.binary)
    model = pathlib.Path(args.model or original())
    with tempfile.TemporaryDirectory() as folder:
        forms = {}
        for form in args.forms.split(","):
            forms[form] = pathlib.Path(folder) / f"{form}.gguf"
            program.run("quantizing", "quantize", model, "--method", form, "--output", forms[form],
                        "--allow-requantize")
        first, path = next(iter(forms.items()))
        body = texts(args, program, model, forms)
        body += mmlu(args, program, model, first, path)
        body += humaneval(args, program, {"original": model, first: path})
    lines = [f"# A real model judged: {model.stem}", "",
             f"{datetime.date.today()}, checkout at {checkout()}, {described}. Written by "
             f"`bench/judge_real.py {' '.join(sys.argv[1:])}`. Time taken: "
             f"{', '.join(f'{what} {seconds:.0f} s' for what, seconds in program.seconds.items())}.", "",
             *body]
    text = "\n".join(lines)
    print(text)
    if args.report:
        args.report.write_text(text)


if __name__ == "__main__":
    main()
