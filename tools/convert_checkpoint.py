#!/usr/bin/env python3
"""Writes a small checkpoint in another form in which its architecture is published.

    tools/convert_checkpoint.py SOURCE_DIR OUTPUT_DIR --form FORM [--dtype bf16|f16|f32]
                                [--scale-dtype bf16|f32] [--shard-size BYTES] [--force]

Forms as tools/make_checkpoint.py has them. Between per-expert and fused, and from mxfp4 to bf16 and
back, no value changes. To fp8 values are rounded; what they became is written by converting once
more, from fp8 to another form with --dtype f32 (a product of E4M3 and a scale needs more bits than
bfloat16 has). All weights are held in memory.
"""

import argparse
import pathlib
import shutil
import sys

from checkpoint import files, forms
from checkpoint.architectures import FORMS, checked_form, config_of_form
from checkpoint.number_formats import DTYPES


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--form", required=True,
                        choices=sorted({f for some in FORMS.values() for f in some}))
    parser.add_argument("--dtype", choices=DTYPES,
                        help="of all that is neither FP8 nor MXFP4 (default: as it is)")
    parser.add_argument("--scale-dtype", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--shard-size", type=int, default=1 << 62, metavar="BYTES")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT")
    return parser.parse_args()


def main():
    args = parse_arguments()
    config = files.read_json(args.source / "config.json")
    try:
        form = checked_form(config, args.form)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if args.output.exists():
        if not args.force:
            sys.exit(f"error: {args.output} exists; give --force to replace it")
        shutil.rmtree(args.output)
    args.output.mkdir(parents=True)
    plain = forms.read_plain(args.source)
    config = config_of_form(config, form)
    if args.dtype:
        config["torch_dtype"] = DTYPES[args.dtype].torch
    files.write_json(args.output / "config.json", config)
    files.copy_tokenizer(args.source, args.output)
    extra = args.source / "generation_config.json"
    if extra.exists():
        (args.output / extra.name).write_bytes(extra.read_bytes())
    total = forms.write_form(args.output, config, form, plain, args.dtype, args.scale_dtype,
                             args.shard_size)
    print(f"{args.output}: {total / 1e6:.1f} MB of weights as {form}")


if __name__ == "__main__":
    main()
