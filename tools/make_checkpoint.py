#!/usr/bin/env python3
"""Writes a Hugging Face checkpoint of any size for a config.json, with generated weights.

    tools/make_checkpoint.py CONFIG_OR_DIR OUTPUT_DIR [--form FORM] [--layers N] [--seed S]
                             [--dtype bf16|f16|f32] [--scale-dtype bf16|f32]
                             [--shard-size BYTES] [--tokenizer DIR] [--force]

The weights are Gaussian with a standard deviation of 1/sqrt(inputs), norms lie near 1 and biases
near 0. A few channels of every norm are outliers: their gain is 4 to 16 times larger, and the
columns of the weights that follow are that much smaller, so that the model computes the same while
its activations have the outliers of a trained one. Names, shapes, dtypes, shards and index are
those of the published models, in each form in which they are published:

    qwen2, llama   plain
    qwen3          plain, fp8
    qwen3_moe      per-expert, fused (experts.gate_up_proj [E, 2*ffn, d]), fp8 (E4M3 with a scale
                   for each block of 128x128; embedding, norms, router and output stay as they are)
    gpt_oss        mxfp4 (blocks and scales), bf16 (experts transposed, [E, inputs, outputs])

The first is the default. The same seed gives the same bytes; the forms hold different weights
(tools/convert_checkpoint.py turns one form into another). Writing takes as long as the disk does.
"""

import argparse
import os
import pathlib
import shutil
import sys
import time

from checkpoint import files
from checkpoint.architectures import (FORMS, MX_BLOCK, checked_form, config_of_form, specs_of)
from checkpoint.generator import Generator
from checkpoint.number_formats import DTYPES, blocks_of

DEFAULT_SHARD_BYTES = 4_000_000_000
# Published vocabularies by their size in the configuration, used where they are there.
TOKENIZERS = pathlib.Path(__file__).resolve().parents[2] / "shared/tokenizers"
PUBLISHED = {152064: "qwen2.5", 151936: "qwen2.5", 201088: "gpt-oss"}


def tensors_of(spec, generator):
    """What a checkpoint stores of it."""
    dtype, name = generator.dtype, spec.name
    if spec.kind == "fp8":
        yield files.Tensor(name, "F8_E4M3", spec.shape, lambda: generator.fp8_codes(spec))
        yield files.Tensor(name + "_scale_inv", generator.scale_dtype.name, blocks_of(spec.shape),
                           lambda: [generator.fp8_scales(spec)])
    elif spec.kind == "mxfp4":
        shape = (*spec.shape[:-1], spec.shape[-1] // MX_BLOCK)
        yield files.Tensor(name + "_blocks", "U8", (*shape, 16), lambda: generator.mx_codes(spec))
        yield files.Tensor(name + "_scales", "U8", shape, lambda: generator.mx_exponents(spec))
    elif spec.kind in ("matrix", "transposed", "embedding"):
        yield files.Tensor(name, dtype.name, spec.shape, lambda: generator.matrix(spec))
    else:
        yield files.Tensor(name, dtype.name, spec.shape, lambda: [generator.vector(spec)])


def write_weights(folder, config, form, args):
    specs = specs_of(config, form)
    for spec in specs:
        if spec.kind == "mxfp4" and spec.shape[-1] % MX_BLOCK:
            sys.exit(f"error: rows of {spec.shape[-1]} ({spec.name}) are no blocks of {MX_BLOCK}")
    generator = Generator(args.seed, DTYPES[args.dtype], DTYPES[args.scale_dtype], specs)
    tensors = [t for spec in specs for t in tensors_of(spec, generator)]
    total, free = sum(t.nbytes for t in tensors), shutil.disk_usage(folder).free
    if total > free:
        sys.exit(f"error: {total:,} bytes needed, {free:,} free in {folder}")
    return files.write_checkpoint(folder, tensors, args.shard_size,
                                  lambda line: print(line, flush=True))


def generation_config(config):
    bos, eos, pad = (config.get(f"{name}_token_id") for name in ("bos", "eos", "pad"))
    ends = (eos if isinstance(eos, list) else [eos]) + [bos, pad]
    stops = list(dict.fromkeys(t for t in ends if t is not None))
    if config["model_type"] == "gpt_oss":
        return {"bos_token_id": bos, "do_sample": True, "eos_token_id": stops, "pad_token_id": pad}
    return {"bos_token_id": bos, "do_sample": True, "eos_token_id": stops, "pad_token_id": bos,
            "repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 0.8}


def tokenizer_folder(args, source, config):
    if args.tokenizer:
        return args.tokenizer
    if (source.parent / "tokenizer.json").exists():
        return source.parent
    folder = TOKENIZERS / PUBLISHED.get(config["vocab_size"], "none")
    return folder if (folder / "tokenizer.json").exists() else None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path, help="config.json, or the folder that has it")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--form", choices=sorted({f for forms in FORMS.values() for f in forms}))
    parser.add_argument("--layers", type=int, help="cut the model to its first N layers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--scale-dtype", choices=("bf16", "f32"), default="bf16",
                        help="of the scales of FP8")
    parser.add_argument("--shard-size", type=int, default=DEFAULT_SHARD_BYTES, metavar="BYTES")
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="DIR",
                        help="folder of tokenizer.json (default: beside the config; for a "
                             "published vocabulary the published one if it is there)")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT")
    return parser.parse_args()


def main():
    args = parse_arguments()
    source = args.config / "config.json" if args.config.is_dir() else args.config
    config = files.read_json(source)
    if args.layers is not None:
        if args.layers < 1:
            sys.exit("error: --layers must be at least 1")
        config["num_hidden_layers"] = args.layers
    try:
        form = checked_form(config, args.form)
    except ValueError as error:
        sys.exit(f"error: {error}")
    config["torch_dtype"] = DTYPES[args.dtype].torch
    config = config_of_form(config, form)
    if args.output.exists() and not args.force:
        sys.exit(f"error: {args.output} exists; give --force to replace it")
    started = time.monotonic()
    partial = args.output.with_name(f".{args.output.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        files.write_json(partial / "config.json", config)
        files.write_json(partial / "generation_config.json", generation_config(config))
        folder = tokenizer_folder(args, source, config)
        if folder:
            files.copy_tokenizer(folder, partial)
        total = write_weights(partial, config, form, args)
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
