"""Mixes of two widths against stock mlx-lm: the same tensors get the larger one (but for the router,
which has 8 bits here), and every one of them loads there."""

import json

import mlx_lm
import pajamas
import pytest
from effort import every
from mlx_lm.convert import QUANT_RECIPES, mixed_quant_predicate_builder
from mlx_lm.utils import load_model

MODELS = {"tiny-qwen2": pajamas.TINY, "tiny-qwen3-moe": pajamas.TINY_MOE,
          "tiny-gpt-oss": pajamas.TINY_OSS}
OURS = "roles_4_5"
# gpt-oss' experts stay as they are stored unless they are opened.
FLAGS = {"tiny-gpt-oss": ("--allow-requantize",)}
CASES = [(name, recipe, group) for name in MODELS for recipe in (*QUANT_RECIPES, OURS)
         for group in pajamas.MLX_GROUPS]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, done = tmp_path_factory.mktemp("recipes"), set()

    def get(name, recipe, group):
        path = folder / f"{name}-{recipe}-{group}"
        if path not in done:
            pajamas.run("quantize", MODELS[name], "--format", "mlx", "--recipe", recipe,
                        "--group-size", group, "--output", path, *FLAGS.get(name, ()))
            done.add(path)
        return path

    return get


@pytest.mark.parametrize("name,recipe,group", every(2, CASES))
def test_stock_mlx_lm_loads_it_with_the_bits_that_it_would_choose(made, name, recipe, group):
    folder = made(name, recipe, group)
    model, tokenizer = mlx_lm.load(str(folder))
    assert mlx_lm.generate(model, tokenizer, "The people of the", max_tokens=2)
    quantized = {path: module for path, module in model.named_modules()
                 if hasattr(module, "scales")}
    # Most rows of tiny-gpt-oss have 288 columns, which fit groups of 32 alone.
    assert {module.group_size for module in quantized.values()} <= {
        group, 32 if name == "tiny-gpt-oss" else group}
    assert "lm_head" in quantized
    if recipe == OURS:
        return
    plain, _ = load_model(MODELS[name], lazy=True)
    stock = mixed_quant_predicate_builder(recipe, plain, group)
    for path, module in quantized.items():
        router = path.endswith(("mlp.gate", "mlp.router"))
        assert module.bits == (8 if router else stock(path, module)["bits"]), path


# A layer's number matters: 28 layers, as Qwen2.5-7B has, planned from a configuration alone.
@pytest.mark.parametrize("recipe", QUANT_RECIPES)
def test_layers_are_chosen_as_stock_does(tmp_path, recipe):
    config = json.loads((pajamas.ROOT / "models/configs/Qwen2.5-7B-Instruct.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))

    class Stub:
        layers = [None] * config["num_hidden_layers"]

        def named_modules(self):
            return [("model.layers.0.mlp.down_proj", None)]

    stock = mixed_quant_predicate_builder(recipe, Stub(), 64)
    plan = pajamas.run_json("plan", "--config", path, "--format", "mlx", "--recipe", recipe,
                            "--json")["outputs"][0]
    assert plan["method"] == recipe
    matrices = [t for t in plan["tensors"] if len(t["shape"]) > 1]
    assert len(matrices) == 28 * 7 + 2
    for tensor in matrices:
        module = tensor["name"].removesuffix(".weight")
        assert tensor["type"] == f"{stock(module, None)['bits']}bit-g64", module


def test_stored_mxfp4_stays_under_a_recipe(tmp_path):
    pajamas.run("quantize", pajamas.TINY_OSS, "--format", "mlx", "--recipe", OURS, "--output",
                tmp_path / "out")
    model, _ = mlx_lm.load(str(tmp_path / "out"))
    modes = {path: module.mode for path, module in model.named_modules()
             if hasattr(module, "scales")}
    assert all((mode == "mxfp4") == (".experts." in path) for path, mode in modes.items())


def test_ours_is_by_role(made):
    dense = json.loads((made("tiny-qwen2", OURS, 64) / "config.json").read_text())["quantization"]
    mixture = json.loads((made("tiny-qwen3-moe", OURS, 64) /
                          "config.json").read_text())["quantization"]
    assert dense["bits"] == mixture["bits"] == 4

    def bits(config, module):
        return config.get(module, config)["bits"]

    for config, module, wanted in (
            (dense, "model.embed_tokens", 5), (dense, "lm_head", 5),
            (dense, "model.layers.0.self_attn.q_proj", 4),
            (dense, "model.layers.3.self_attn.v_proj", 5),
            (dense, "model.layers.1.self_attn.o_proj", 5),
            (dense, "model.layers.1.mlp.down_proj", 5), (dense, "model.layers.1.mlp.up_proj", 4),
            (mixture, "model.embed_tokens", 5), (mixture, "model.layers.1.self_attn.q_proj", 5),
            (mixture, "model.layers.1.mlp.switch_mlp.down_proj", 4),
            (mixture, "model.layers.1.mlp.switch_mlp.gate_proj", 4),
            (mixture, "model.layers.1.mlp.gate", 8)):
        assert bits(config, module) == wanted, module


def test_a_recipe_is_mlx_method_and_leaves_the_others_theirs(tmp_path, made):
    pajamas.run("quantize", pajamas.TINY, "--format", "gguf,mlx", "--method", "Q4_K_M",
                "--recipe", "mixed_4_6", "--output", tmp_path)
    assert (tmp_path / "gguf/model-q4_k_m.gguf").exists()
    ours, alone = tmp_path / "mlx/model-mixed_4_6", made("tiny-qwen2", "mixed_4_6", 64)
    for file in alone.iterdir():
        assert (ours / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("arguments,part", [
    (("--format", "mlx", "--recipe", "mixed_4_7"), "mixed_4_6"),
    (("--format", "mlx", "--recipe", "4bit"), "no recipe"),
    (("--format", "gguf", "--method", "Q4_K_M", "--recipe", "mixed_4_6"), "MLX"),
    (("--format", "mlx", "--method", "4bit", "--recipe", "mixed_4_6"), "--method"),
])
def test_what_does_not_fit_is_a_usage_error(tmp_path, arguments, part):
    done = pajamas.run("plan", pajamas.TINY, *arguments, check=False)
    assert done.returncode == 2 and part in done.stderr, done.stderr
