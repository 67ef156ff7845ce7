#!/usr/bin/env python3
"""Quality of what we write beside what the stock quantizers write, at the same bytes.

    bench/quality.py [METHOD...] [--model DIR] [--windows N] [--context N] [--imatrix FILE]
                     [--report FILE]

METHOD is a GGUF method (Q4_K_M), or an MLX one with its group size (4bit-g64); all of them by
default. Ours is `llama-pajamas quantize` (--binary); stock is `llama_model_quantize` from our F32
GGUF, and `mlx_lm.convert`. With --imatrix (GGUF) ours and llama.cpp weigh by it; mlx-lm takes none. Every weight is then dequantized to float32 and put into an F32 GGUF file, which stock
llama.cpp runs: what is measured is the quantizer's error alone. Mean KL is in nats
against the original weights, over the second half of every window; the difference is paired by
window, with its standard error. The median ratio is that of our KL and the stock one at the same
position: in a mixture of experts a router that chooses otherwise makes the tails, and with them the
means, heavy. RMSE is plain: every weight counts alike; its ratio is of all quantized tensors
together, and the worst tensor follows.

The models are models/tiny-qwen2 (the default) and models/tiny-qwen3-moe.

Needs the Python packages of tests/interop/requirements.txt.
"""

import argparse
import datetime
import math
import pathlib
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))

import gguf  # noqa: E402
import llama_cpp  # noqa: E402
import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402
import pajamas  # noqa: E402
import peers  # noqa: E402
from mlx_lm import convert  # noqa: E402
from mlx_lm import utils as mlx_utils  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

GGUF = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_L", "Q3_K_M", "Q3_K_S",
        "Q2_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
MLX = tuple(f"{b}bit-g{g}" for b in (2, 3, 4, 5, 6, 8) for g in (32, 64))


class Judge:
    """Stock llama.cpp over windows of a text, on a GGUF file whose weights are all float32."""

    def __init__(self, folder, text, windows, context, scratch):
        self.file = pathlib.Path(scratch) / "judged.gguf"
        pajamas.quantize(folder, "gguf", "F32", self.file)
        self.original = from_gguf(self.file)
        tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
        ids = tokenizer.encode(pathlib.Path(text).read_text(), add_special_tokens=False).ids
        chunks = peers.split(ids, context)
        # Spread evenly over the text.
        count = min(windows, len(chunks))
        self.chunks = [chunks[i * len(chunks) // count] for i in range(count)]
        self.half = context // 2
        self.base = self._log_probabilities()

    def _put(self, weights):
        for tensor in gguf.GGUFReader(self.file).tensors:
            values = np.ascontiguousarray(weights[tensor.name], np.float32)
            place = np.memmap(self.file, np.float32, "r+", int(tensor.data_offset),
                              (values.size,))
            place[:] = values.reshape(-1)
            place.flush()

    def _log_probabilities(self):
        # One thread: two spin while they wait for each other, which starves a busy machine.
        context = len(self.chunks[0])
        model = llama_cpp.Llama(str(self.file), n_ctx=context, n_batch=context, logits_all=True,
                                type_k=0, type_v=0, flash_attn=False, verbose=False, n_threads=1,
                                n_threads_batch=1)
        logits = []
        for chunk in self.chunks:
            model.reset()
            model.eval(chunk)
            logits.append(np.array(model.scores[self.half:context]))
        model.close()
        logits = np.stack(logits)
        # float32 keeps seven digits of a difference of logits; sums over a vocabulary need more.
        logits = logits.astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def kl(self, weights):
        """KL at every scored position: [windows, positions]."""
        self._put(weights)
        p, q = self.base, self._log_probabilities()
        return (np.exp(p) * (p - q)).sum(-1)


# --- what the two quantizers wrote, as float32 under GGUF's names ------------------------------


def gguf_name(name):
    """mlx-lm's name in GGUF."""
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    module, kind = name.rsplit(".", 1)
    if module in whole:
        return f"{whole[module]}.{kind}"
    _, _, layer, part = module.split(".", 3)
    role = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
            "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
            "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
            "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
            "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
            "mlp.gate": "ffn_gate_inp", "mlp.switch_mlp.gate_proj": "ffn_gate_exps",
            "mlp.switch_mlp.up_proj": "ffn_up_exps",
            "mlp.switch_mlp.down_proj": "ffn_down_exps"}[part]
    return f"blk.{layer}.{role}.{kind}"


def from_gguf(path):
    out = {}
    for tensor in gguf.GGUFReader(path).tensors:
        shape = [int(n) for n in reversed(tensor.shape)]
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        out[tensor.name] = np.array(values, np.float32).reshape(shape)
    return out


def from_mlx(folder):
    stored = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        stored.update(mx.load(str(file)))
    settings = mlx_utils.load_config(pathlib.Path(folder))["quantization"]
    out = {}
    for name, array in stored.items():
        if name.endswith((".scales", ".biases")):
            continue
        module = name.removesuffix(".weight")
        if f"{module}.scales" in stored:
            own = settings.get(module)
            own = own if isinstance(own, dict) else settings
            array = mx.dequantize(array, stored[f"{module}.scales"].astype(mx.float32),
                                  stored[f"{module}.biases"].astype(mx.float32),
                                  group_size=own["group_size"], bits=own["bits"])
        out[gguf_name(name)] = np.array(array.astype(mx.float32))
    return out


class Quantizers:
    """Both quantizers on one checkpoint, in a folder of their own."""

    def __init__(self, model, scratch, imatrix=None):
        self.model, self.scratch = pathlib.Path(model), pathlib.Path(scratch)
        self.imatrix = imatrix  # for ours, and for stock llama.cpp; mlx-lm takes none
        self._flags = ("--imatrix", imatrix) if imatrix else ()
        self._float = self.scratch / "f32.gguf"

    def ours(self, method):
        target = self.scratch / "ours"
        self._remove(target)
        if "-g" in method:
            bits, group = method.split("-g")
            pajamas.quantize(self.model, "mlx", bits, target, "--group-size", group, *self._flags)
            return from_mlx(target)
        pajamas.quantize(self.model, "gguf", method, target, *self._flags)
        return from_gguf(target)

    def stock(self, method):
        target = self.scratch / "stock"
        self._remove(target)
        if "-g" in method:
            bits, group = method.split("-g")
            convert(str(self.model), str(target), quantize=True, q_group_size=int(group),
                    q_bits=int(bits.removesuffix("bit")))
            return from_mlx(target)
        if not self._float.exists():
            pajamas.quantize(self.model, "gguf", "F32", self._float)
        peers.llama_quantize(self._float, target, method, imatrix=self.imatrix)
        return from_gguf(target)

    @staticmethod
    def _remove(target):
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)


# --- comparison ----------------------------------------------------------------------------------


def rmse_ratios(original, ours, stock):
    """Of all quantized tensors together, and of the worst one."""
    both, worst = np.zeros(2), 0.0
    for name, values in original.items():
        error = np.array([((w[name].astype(np.float64) - values) ** 2).sum() for w in (ours, stock)])
        both += error
        if error[1] > 0:
            worst = max(worst, math.sqrt(error[0] / error[1]))
    return math.sqrt(both[0] / both[1]), worst


@dataclass(frozen=True)
class Comparison:
    """Ours beside the stock quantizer, one method."""
    method: str
    ours: np.ndarray  # KL at every position, [windows, positions]
    stock: np.ndarray
    rmse: float  # ratios
    worst: float

    def ratio(self):
        return self.ours.mean() / self.stock.mean()

    def median_ratio(self):
        return float(np.median(self.ours / np.maximum(self.stock, 1e-12)))

    def excess(self, share=1.0):
        """(mean of our KL - share * the stock one, its standard error), paired by window."""
        difference = (self.ours - share * self.stock).mean(-1)
        return difference.mean(), difference.std(ddof=1) / math.sqrt(len(difference))

    def row(self):
        difference, error = self.excess()
        return (f"| {self.method} | {self.stock.mean():.6f} | {self.ours.mean():.6f} | "
                f"{self.ratio():.3f} | {difference:+.6f} | {error:.6f} | "
                f"{self.median_ratio():.3f} | {self.rmse:.4f} | {self.worst:.4f} |")


HEADER = ("| method | stock KL | our KL | ratio | difference | standard error | median ratio | "
          "RMSE ratio | worst tensor |\n|---|---|---|---|---|---|---|---|---|")


def compare(judge, quantizers, method):
    ours, stock = quantizers.ours(method), quantizers.stock(method)
    ratio, worst = rmse_ratios(judge.original, ours, stock)
    return Comparison(method, judge.kl(ours), judge.kl(stock), ratio, worst)


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=[*GGUF, *MLX])
    parser.add_argument("--model", default=ROOT / "models/tiny-qwen2", type=pathlib.Path)
    parser.add_argument("--text", default=ROOT / "models/eval/heldout.txt", type=pathlib.Path)
    parser.add_argument("--windows", default=60, type=int)
    parser.add_argument("--context", default=256, type=int)
    parser.add_argument("--imatrix", type=pathlib.Path)
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--report", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.binary:
        pajamas.BINARY = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        report(arguments, scratch)


def report(arguments, scratch):
    judge = Judge(arguments.model, arguments.text, arguments.windows, arguments.context, scratch)
    head = (f"# Quality on {arguments.model.name}\n\n{len(judge.chunks)} windows of "
            f"{arguments.context} of {arguments.text.name}, second halves; "
            f"{processor()}, {datetime.date.today()}; `bench/quality.py "
            f"{' '.join(sys.argv[1:])}`\n\n"
            "KL in nats against the original, every weight dequantized, judged by llama.cpp in "
            "float32; the difference is paired by window.\n")
    lines = [head, HEADER]
    print("\n".join(lines), flush=True)
    quantizers = Quantizers(arguments.model, scratch, arguments.imatrix)
    for method in arguments.methods:
        lines.append(compare(judge, quantizers, method).row())
        print(lines[-1], flush=True)
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
