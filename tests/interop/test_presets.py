"""--preset: files below a folder that stock peers load, of the size that `presets` tells, and a KV cache that `run` takes."""

import json
import math
import re
import struct

import gguf
import numpy as np
import pajamas
import peers
import pytest
from checkpoint import files
from checkpoint.architectures import FORMS, MX_BLOCK, config_of_form, specs_of

CHUNK = [list(range(5, 69))]
KINDS = {
    "dense": (pajamas.TINY, {"ultra": "q4_0", "balanced": "q8_0", "hq": "f16"}),
    "experts": (pajamas.TINY_MOE, {"ultra": "q4_0", "balanced": "q8_0", "native": "f16"}),
    "mxfp4": (pajamas.TINY_OSS, {"ultra": "q3_0", "balanced": "q4_0", "native": "f16"}),
}
CASES = [(kind, name) for kind, (_, presets) in KINDS.items() for name in presets]


def size_of(path):
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.iterdir())


def suggested(path):
    """What the key of our own says, by other programs' readers."""
    if path.is_file():
        field = gguf.GGUFReader(path).fields["llama_pajamas.kv_cache_type"]
        return bytes(field.parts[field.data[0]]).decode()
    return json.loads((path / "config.json").read_text())["llama_pajamas"]["kv_cache_type"]


@pytest.mark.parametrize("kind,name", CASES)
def test_files_that_peers_load_as_large_as_told(tmp_path, kind, name):
    model, kv_cache = KINDS[kind][0], KINDS[kind][1][name]
    told = pajamas.run_json("presets", model, "--json")["models"][0]["presets"]
    told = next(preset for preset in told if preset["preset"] == name)
    assert told["kv_cache"] == kv_cache
    report = pajamas.run_json("quantize", model, "--preset", name, "--output", tmp_path, "--json")
    assert [o["format"] for o in report["outputs"]] == [o["format"] for o in told["outputs"]]
    original = np.asarray(peers.mlx_logits(_mlx(model, tmp_path), CHUNK))
    for output, expected in zip(report["outputs"], told["outputs"]):
        (path,) = (tmp_path / output["format"]).iterdir()
        assert size_of(path) == expected["file_bytes"] == output["file_bytes"]
        assert suggested(path) == kv_cache
        if output["format"] == "fp8":  # test_fp8.py has its readers
            continue
        read = peers.llama_logits if output["format"] == "gguf" else peers.mlx_logits
        logits = np.asarray(read(path, CHUNK))
        assert peers.mean_kl(logits, original) < (.01 if name in ("hq", "native") else .4)


def _mlx(model, scratch):
    folder = scratch / "original"
    pajamas.quantize(model, "mlx", "bf16", folder)
    return folder


def test_run_takes_the_cache_and_says_so(tmp_path):
    pajamas.run("quantize", pajamas.TINY, "--preset", "balanced", "--output", tmp_path)
    for model in (tmp_path / "gguf/model-balanced.gguf", tmp_path / "mlx/model-balanced"):
        ask = ("run", model, "--raw", "--prompt", "My fellow", "--max-tokens", 4, "--temperature", 0)

        def cache(*more, **options):
            done = pajamas.run(*ask, *more, "--stats", tmp_path / "s.json", "--force", **options)
            return json.loads((tmp_path / "s.json").read_text())["kv_cache"], done.stderr

        kv_cache, told = cache()
        assert kv_cache == "q8_0" and "KV cache q8_0, as the model suggests" in told
        kv_cache, told = cache("--kv-cache", "f16")
        assert kv_cache == "f16" and "suggests" not in told
        kv_cache, told = cache(env={"LLAMA_PAJAMAS_KV_CACHE": "bf16"})
        assert kv_cache == "bf16" and "suggests" not in told
    # It stays with the model that is made of the model.
    again = tmp_path / "again.gguf"
    pajamas.quantize(tmp_path / "gguf/model-balanced.gguf", "gguf", "Q3_K_S", again, "--allow-requantize")
    assert suggested(again) == "q8_0"
    pajamas.run("quantize", again, "--preset", "ultra", "--output", tmp_path / "u", "--allow-requantize")
    assert suggested(tmp_path / "u/gguf/model-ultra.gguf") == "q4_0"


def test_what_does_not_go_together_is_refused_before_any_work(tmp_path):
    for flags, word in (
        (("--method", "Q4_K_M"), "--method"),
        (("--target-size", "3MB"), "--target-size"),
        (("--mixed-precision",), "--mixed-precision"),
        (("--group-size", "32"), "--group-size"),
        (("--format", "fp8"), "fp8"),
    ):
        done = pajamas.run("quantize", pajamas.TINY, "--preset", "ultra", "--output", tmp_path / "x", *flags, check=False)
        assert done.returncode == 2 and word in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not (tmp_path / "x").exists()
    (tmp_path / "file").write_text("mine")
    done = pajamas.run("quantize", pajamas.TINY, "--preset", "ultra", "--output", tmp_path / "file", check=False)
    assert done.returncode == 2 and "is a file" in done.stderr
    done = pajamas.run("quantize", pajamas.TINY_MOE, "--preset", "hq", "--output", tmp_path / "x", check=False)
    assert done.returncode == 2 and "ultra, balanced, native" in done.stderr
    done = pajamas.run("quantize", pajamas.TINY, "--preset", "balnced", "--output", tmp_path / "x", check=False)
    assert done.returncode == 2 and "did you mean balanced" in done.stderr


def test_one_format_of_a_preset_and_names_of_ones_own(tmp_path):
    pajamas.run("quantize", pajamas.TINY, "--preset", "ultra", "--format", "mlx", "--output", tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["mlx"]
    pajamas.run("quantize", pajamas.TINY, "--preset", "ultra", "--output", tmp_path / "b", "--output-name",
                "{name}-{method}")
    assert (tmp_path / "b/gguf/tiny-qwen2-ultra.gguf").exists() and (tmp_path / "b/mlx/tiny-qwen2-ultra").is_dir()


def test_published_models_are_listed_with_what_no_file_can_do():
    listed = {m["model"]: m for m in pajamas.run_json("presets", "--json")["models"]}
    assert sum(len(m["presets"]) for m in listed.values()) == 9
    moe = listed["Qwen3-30B-A3B"]
    assert "no file of this model is that small" in moe["verdict"]
    assert moe["streamed_memory_bytes"] < 3e9 < moe["smallest_file_bytes"]
    dense = pajamas.run("presets", "--memory-budget", "8GB").stdout
    assert "in 8.00 GB: hq, gguf" in dense


GGUF_BYTES = {kind.name: size for kind, size in gguf.GGML_QUANT_SIZES.items()}


def holes(folder, config):
    """A checkpoint in its published form and full size whose weights are a hole: headers alone are there."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config_of_form(config, FORMS[config["model_type"]][0])))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for spec in specs_of(config, FORMS[config["model_type"]][0]):
        # Of MXFP4 the codes and the scales, else BF16.
        parts = [(spec.name, "BF16", spec.shape)]
        if spec.kind == "mxfp4":
            blocks = (*spec.shape[:-1], spec.shape[-1] // MX_BLOCK)
            parts = [(spec.name + "_blocks", "U8", (*blocks, 16)), (spec.name + "_scales", "U8", blocks)]
        for name, dtype, shape in parts:
            end = offset + math.prod(shape) * files.SIZES[dtype]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
            offset = end
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return folder


def stored_bytes(tensor):
    """From shape and type alone, as the formats' own programs have it."""
    (*stack, rows, columns), kind = (1, 1, *tensor["shape"]), tensor["type"]
    matrices, weights = math.prod(stack), math.prod(tensor["shape"])
    if kind in GGUF_BYTES:
        block, size = GGUF_BYTES[kind]
        return weights // block * size
    if kind == "mxfp4":
        return weights // 32 * 17
    if kind == "F8_E4M3":  # an F32 scale for each tile
        return weights + matrices * -(-rows // 128) * -(-columns // 128) * 4
    bits, group = map(int, re.fullmatch(r"(\d)bit-g(\d+)", kind).groups())
    return weights * bits // 8 + weights // group * 4  # a scale and an offset of two bytes


@pytest.mark.parametrize("name", ["Qwen2.5-7B-Instruct", "Qwen3-30B-A3B", "gpt-oss-20b"])
def test_sizes_of_the_published_shapes(tmp_path, name):
    """What `presets` tells, of the configuration alone and of a checkpoint's headers, is what a plan has, and that
    is the sum of its tensors."""
    config = json.loads((pajamas.ROOT / f"models/configs/{name}.json").read_text())
    path = tmp_path / "alone" / name / "config.json"  # a model is called by its folder, and its file has the name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(config))
    listed = {m["model"]: m for m in pajamas.run_json("presets", "--json")["models"]}[name]
    folder = holes(tmp_path / name, config)
    told, = pajamas.run_json("presets", folder, "--json")["models"]
    assert len(told["presets"]) == 3 and told["weights"] == listed["weights"]
    for alone, preset in zip(listed["presets"], told["presets"]):
        by_config = pajamas.run_json("plan", "--config", path, "--preset", preset["preset"], "--json")["outputs"]
        by_headers = pajamas.run_json("plan", folder, "--preset", preset["preset"], "--json")["outputs"]
        assert [o["file_bytes"] for o in alone["outputs"]] == [o["file_bytes"] for o in by_config]
        assert [o["file_bytes"] for o in preset["outputs"]] == [o["file_bytes"] for o in by_headers]
        weights = sum(math.prod(spec.shape) for spec in specs_of(config, FORMS[config["model_type"]][0]))
        for output in by_config + by_headers:
            tensors = output["tensors"]
            assert sum(math.prod(tensor["shape"]) for tensor in tensors) == weights
            sizes = [stored_bytes(tensor) for tensor in tensors]
            assert sizes == [tensor["bytes"] for tensor in tensors] and sum(sizes) == output["tensor_bytes"]
            # The rest: names, shapes and places of all that is stored, and a few keys of the configuration.
            stored = len(tensors) * {"gguf": 1, "mlx": 3, "fp8": 2 * config.get("num_experts", 0)}[output["format"]]
            assert 0 < output["file_bytes"] - sum(sizes) < 16_000 + 250 * stored
