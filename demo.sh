#!/usr/bin/env bash
# Installs what is missing, builds, and does the main job on the three embedded checkpoints (dense,
# mixture of experts, mixture of experts in MXFP4): quantizes each to GGUF and MLX in one pass,
# generates text from both, scores both against the original.
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

# Generates from one form of a model, and scores it against the original.
show() {
  local name=$1 path=$2 model=$3
  run "$pajamas" run "$path" --raw --prompt "My fellow citizens," --max-tokens 64 --seed 1 \
    --stats "$out/$name-run.json"
  echo
  "$pajamas" inspect "$path" --json >"$out/$name-inspect.json"
  local metrics=(--metrics perplexity)
  [ "$path" = "$model" ] || metrics=(--metrics perplexity,kl --reference "$model")
  run "$pajamas" validate "$path" "${metrics[@]}" --text "$text" --ctx 256 --chunks 60 --json --quiet \
    >"$out/$name-score.json"
}

for name in "${models[@]}"; do
  model=models/$name
  run "$pajamas" quantize "$model" --format gguf,mlx --method Q4_K_M:4bit --embedding-bits 6 \
    --output "$out/$name"
  show "$name-original" "$model" "$model"
  show "$name-gguf" "$out/$name/gguf/model-q4_k_m.gguf" "$model"
  show "$name-mlx" "$out/$name/mlx/model-4bit" "$model"
done

python3 - "$out" "${models[@]}" <<'PYTHON'
import json
import pathlib
import sys

out = pathlib.Path(sys.argv[1])


def load(name, part):
    text = (out / f"{name}-{part}.json").read_text()
    return json.loads(text[text.index("{"):])


def weight_files(path):
    path = pathlib.Path(path)
    return [path] if path.is_file() else sorted(path.glob("*.safetensors"))


rows = [("", "file MB", "bits/weight", "perplexity", "loss %", "tokens/s", "peak MB")]
forms = {"original": ("original", "{model}"),
         "gguf": ("GGUF Q4_K_M", "{out}/gguf/model-q4_k_m.gguf"),
         "mlx": ("MLX 4-bit, embeddings 6", "{out}/mlx/model-4bit")}
for model in sys.argv[2:]:
    for form, (title, place) in forms.items():
        run, score, facts = (load(f"{model}-{form}", part) for part in ("run", "score", "inspect"))
        path = place.format(model=f"models/{model}", out=out / model)
        size = sum(f.stat().st_size for f in weight_files(path))
        loss = f"{score['loss_percent']:+.2f}" if "loss_percent" in score else "-"
        rows.append((f"{model}, {title}", f"{size / 1e6:.2f}", f"{facts['bits_per_weight']:.2f}",
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
