#!/usr/bin/env python3
"""Writes a Hugging Face checkpoint of any size for a config.json, with generated weights.

    tools/make_checkpoint.py CONFIG_OR_DIR OUTPUT_DIR [--layers N] [--seed S] [--dtype bf16|f16|f32]
                             [--shard-size BYTES] [--tokenizer DIR] [--force]

The weights are Gaussian with a standard deviation of 1/sqrt(inputs), norms lie near 1 and biases
near 0. A few channels of every norm are outliers: their gain is 4 to 16 times larger, and the
columns of the weights that follow are that much smaller, so that the model computes the same while
its activations have the outliers of a trained one. Names, shapes, dtypes, shards and index are
those of the published models. The same seed gives the same bytes.

Rows are slices of one bank of 16 million Gaussian values, each from a place of its own within a
matrix and with a random sign: writing takes as long as the disk does, and any statistic over
blocks is that of independent values.
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import shutil
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from typing import Callable

import numpy as np

BANK_VALUES = (1 << 24) + 1
BLOCK_BYTES = 32 << 20
DEFAULT_SHARD_BYTES = 4_000_000_000
OUTLIER_CHANNELS = 4  # per norm
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json",
                   "merges.txt", "special_tokens_map.json", "added_tokens.json")
QWEN2_TOKENIZER = pathlib.Path(__file__).resolve().parents[2] / "shared/tokenizers/qwen2.5"


# --- architectures: what a checkpoint holds ------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """One tensor; `shape` takes the dimensions by name, `after` names the norm that feeds it."""
    name: str
    shape: Callable[[dict], tuple]
    kind: str  # matrix, embedding, norm, bias
    after: str = ""


@dataclass(frozen=True)
class Architecture:
    dims: Callable[[dict], dict]
    first: tuple
    layer: tuple  # names hold {i}
    last: tuple
    head: str  # left out where the embedding is tied


def dense_dims(config):
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    return dict(d=config["hidden_size"], f=config["intermediate_size"], v=config["vocab_size"],
                q=heads * head_dim, k=config["num_key_value_heads"] * head_dim, hd=head_dim)


_LAYER = "model.layers.{i}."
_IN, _POST = _LAYER + "input_layernorm.weight", _LAYER + "post_attention_layernorm.weight"

QWEN2 = Architecture(
    dims=dense_dims,
    first=(Spec("model.embed_tokens.weight", lambda n: (n["v"], n["d"]), "embedding"),),
    layer=(
        Spec(_LAYER + "self_attn.q_proj.weight", lambda n: (n["q"], n["d"]), "matrix", _IN),
        Spec(_LAYER + "self_attn.q_proj.bias", lambda n: (n["q"],), "bias"),
        Spec(_LAYER + "self_attn.k_proj.weight", lambda n: (n["k"], n["d"]), "matrix", _IN),
        Spec(_LAYER + "self_attn.k_proj.bias", lambda n: (n["k"],), "bias"),
        Spec(_LAYER + "self_attn.v_proj.weight", lambda n: (n["k"], n["d"]), "matrix", _IN),
        Spec(_LAYER + "self_attn.v_proj.bias", lambda n: (n["k"],), "bias"),
        Spec(_LAYER + "self_attn.o_proj.weight", lambda n: (n["d"], n["q"]), "matrix"),
        Spec(_LAYER + "mlp.gate_proj.weight", lambda n: (n["f"], n["d"]), "matrix", _POST),
        Spec(_LAYER + "mlp.up_proj.weight", lambda n: (n["f"], n["d"]), "matrix", _POST),
        Spec(_LAYER + "mlp.down_proj.weight", lambda n: (n["d"], n["f"]), "matrix"),
        Spec(_IN, lambda n: (n["d"],), "norm"),
        Spec(_POST, lambda n: (n["d"],), "norm"),
    ),
    last=(
        Spec("model.norm.weight", lambda n: (n["d"],), "norm"),
        Spec("lm_head.weight", lambda n: (n["v"], n["d"]), "matrix", "model.norm.weight"),
    ),
    head="lm_head.weight",
)

ARCHITECTURES = {"qwen2": QWEN2}


# --- values --------------------------------------------------------------------------------------


def to_bf16(values):
    """float32 -> bfloat16 bits, to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class Dtype:
    name: str  # as safetensors has it
    torch: str
    store: np.dtype
    encode: Callable
    decode: Callable


DTYPES = {
    "bf16": Dtype("BF16", "bfloat16", np.dtype(np.uint16), to_bf16, from_bf16),
    "f16": Dtype("F16", "float16", np.dtype(np.float16), lambda x: x.astype(np.float16),
                 lambda x: x.astype(np.float32)),
    "f32": Dtype("F32", "float32", np.dtype(np.float32), lambda x: x.astype(np.float32),
                 lambda x: x),
}


class Generator:
    """Values of a tensor by its name; nothing depends on the order of calls."""

    def __init__(self, seed, dtype):
        self.seed, self.dtype = seed, dtype
        self.bank = np.random.default_rng(seed).standard_normal(BANK_VALUES, np.float32)
        self.scaled = {}

    def prepare(self, deviations):
        for deviation in sorted(set(deviations)):
            self.scaled[deviation] = self.dtype.encode(self.bank * np.float32(deviation))

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def gains(self, norm, width):
        """The outlier channels of a norm, and how many times larger each is."""
        rng = self.rng(norm + " outliers")
        count = min(OUTLIER_CHANNELS, width // 16)
        return rng.choice(width, count, replace=False), rng.uniform(4, 16, count).astype(np.float32)

    def vector(self, name, kind, width):
        values = self.rng(name).standard_normal(width, np.float32)
        if kind == "bias":
            return self.dtype.encode(values * np.float32(0.05))
        values = 1 + values * np.float32(0.05)
        channels, gains = self.gains(name, width)
        values[channels] *= gains
        return self.dtype.encode(values)

    def blocks(self, name, shape, after):
        """The rows of a matrix, some at a time."""
        rows, width = shape
        rng = self.rng(name)
        bank = self.scaled[deviation(shape)]
        places = BANK_VALUES - width
        starts = rng.choice(places, rows, replace=rows > places)
        signs = rng.integers(0, 2, rows, np.uint8).astype(bool)
        windows = np.lib.stride_tricks.sliding_window_view(bank, width)
        channels, gains = self.gains(after, width) if after else ([], [])
        step = max(1, BLOCK_BYTES // (width * bank.itemsize))
        for first in range(0, rows, step):
            block = windows[starts[first:first + step]]
            flip = signs[first:first + step]
            if block.dtype == np.uint16:
                block[flip] ^= 0x8000
            else:
                block[flip] *= -1
            for channel, gain in zip(channels, gains):
                block[:, channel] = self.dtype.encode(self.dtype.decode(block[:, channel]) / gain)
            yield block


def deviation(shape):
    return 1 / math.sqrt(shape[1])


# --- files ---------------------------------------------------------------------------------------


def tensors_of(config):
    """Every tensor as (spec with its full name, shape), in the order of the model."""
    architecture = ARCHITECTURES.get(config.get("model_type"))
    if architecture is None:
        sys.exit(f"error: model_type {config.get('model_type')!r} is not one of "
                 f"{', '.join(ARCHITECTURES)}")
    dims = architecture.dims(config)
    specs = list(architecture.first)
    for i in range(config["num_hidden_layers"]):
        specs += [Spec(s.name.format(i=i), s.shape, s.kind, s.after.format(i=i))
                  for s in architecture.layer]
    specs += architecture.last
    tied = config.get("tie_word_embeddings", False)
    return [(s, s.shape(dims)) for s in specs if not (tied and s.name == architecture.head)]


def split(tensors, itemsize, limit):
    shards, size = [[]], 0
    for tensor in tensors:
        nbytes = math.prod(tensor[1]) * itemsize
        if shards[-1] and size + nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += nbytes
    return shards


def write_shard(path, tensors, generator):
    dtype = generator.dtype
    tensors = sorted(tensors, key=lambda t: t[0].name)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for spec, shape in tensors:
        end = offset + math.prod(shape) * dtype.store.itemsize
        header[spec.name] = {"dtype": dtype.name, "shape": list(shape),
                             "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for spec, shape in tensors:
            if len(shape) == 1:
                write_all(file, generator.vector(spec.name, spec.kind, shape[0]))
                continue
            for block in generator.blocks(spec.name, shape, spec.after):
                write_all(file, block)


def write_all(file, array):
    view = memoryview(np.ascontiguousarray(array)).cast("B")
    while view:
        view = view[file.write(view):]


def write_weights(folder, config, args):
    dtype = DTYPES[args.dtype]
    tensors = tensors_of(config)
    total = sum(math.prod(shape) for _, shape in tensors) * dtype.store.itemsize
    free = shutil.disk_usage(folder).free
    if total > free:
        sys.exit(f"error: {total:,} bytes needed, {free:,} free in {folder}")
    generator = Generator(args.seed, dtype)
    generator.prepare(deviation(shape) for _, shape in tensors if len(shape) > 1)
    shards = split(tensors, dtype.store.itemsize, args.shard_size)
    names = (["model.safetensors"] if len(shards) == 1 else
             [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write_shard, folder / name, shard, generator)
                for name, shard in zip(names, shards)]
        for name, job in zip(names, jobs):
            job.result()
            print(f"  {name}", flush=True)
    if len(shards) > 1:
        where = {s.name: name for name, shard in zip(names, shards) for s, _ in shard}
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
        write_json(folder / "model.safetensors.index.json", index)
    return total


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def generation_config(config):
    bos, eos = config.get("bos_token_id"), config.get("eos_token_id")
    stops = list(dict.fromkeys(t for t in ([eos] if not isinstance(eos, list) else eos) + [bos]
                               if t is not None))
    return {"bos_token_id": bos, "do_sample": True, "eos_token_id": stops, "pad_token_id": bos,
            "repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 0.8}


def tokenizer_folder(args, source, config):
    if args.tokenizer:
        return args.tokenizer
    if (source.parent / "tokenizer.json").exists():
        return source.parent
    if config["vocab_size"] == 152064 and QWEN2_TOKENIZER.exists():
        return QWEN2_TOKENIZER
    return None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=pathlib.Path, help="config.json, or the folder that has it")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--layers", type=int, help="cut the model to its first N layers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--shard-size", type=int, default=DEFAULT_SHARD_BYTES, metavar="BYTES")
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="DIR",
                        help="folder of tokenizer.json (default: beside the config; for a "
                             "vocabulary of 152064 the published one of Qwen2.5 if it is there)")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT")
    return parser.parse_args()


def main():
    args = parse_arguments()
    source = args.config / "config.json" if args.config.is_dir() else args.config
    config = json.loads(source.read_text())
    if args.layers is not None:
        if args.layers < 1:
            sys.exit("error: --layers must be at least 1")
        config["num_hidden_layers"] = args.layers
    config["torch_dtype"] = DTYPES[args.dtype].torch
    if args.output.exists() and not args.force:
        sys.exit(f"error: {args.output} exists; give --force to replace it")
    started = time.monotonic()
    partial = args.output.with_name(f".{args.output.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        write_json(partial / "config.json", config)
        write_json(partial / "generation_config.json", generation_config(config))
        folder = tokenizer_folder(args, source, config)
        for name in TOKENIZER_FILES if folder else ():
            if (folder / name).exists():
                (partial / name).write_bytes((folder / name).read_bytes())
        total = write_weights(partial, config, args)
        if args.output.exists():
            shutil.rmtree(args.output)
        partial.rename(args.output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    seconds = time.monotonic() - started
    print(f"{args.output}: {total / 1e9:.3f} GB of weights in {seconds:.1f} s"
          f"{'' if folder else ', no tokenizer'}")


if __name__ == "__main__":
    main()
