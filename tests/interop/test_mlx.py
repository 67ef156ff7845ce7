"""Our MLX directories against stock mlx-lm: it loads them, decodes them and computes the same."""

import json

import mlx.core as mx
import mlx_lm
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import every

VOCAB = 2048
GRID = every(4, [(bits, group) for bits in pajamas.MLX_BITS for group in pajamas.MLX_GROUPS])
FULL = {"group_size", "bits", "mode"}

# name: method, flags, {module: bits}
MIXED = {
    "mixed-precision": ("4bit", ["--mixed-precision"],
                        {"model.embed_tokens": 6, "lm_head": 6, "model.layers.0.mlp.up_proj": 4}),
    "embedding-and-output": ("3bit", ["--embedding-bits", "8", "--output-bits", "5"],
                             {"model.embed_tokens": 8, "lm_head": 5,
                              "model.layers.3.self_attn.v_proj": 3}),
    "embedding-only": ("4bit", ["--embedding-bits", "6", "--group-size", "32"],
                       {"model.embed_tokens": 6, "model.layers.1.mlp.down_proj": 4}),
}
ALL = ([(f"{b}bit", ("--group-size", str(g))) for b, g in GRID] + [("bf16", ())] +
       [(method, tuple(flags)) for method, flags, _ in MIXED.values()])
IDS = ["-".join((m, *(f.strip("-") for f in flags))) for m, flags in ALL]


def read_config(folder):
    return json.loads((folder / "config.json").read_text())


def tensors(folder):
    out = {}
    for file in sorted(folder.glob("model*.safetensors")):
        out |= mx.load(str(file))
    return out


def setting(config, module):
    quantization = config["quantization"]
    return quantization.get(module, quantization)


@pytest.mark.parametrize("method,flags", ALL, ids=IDS)
def test_stock_mlx_lm_loads_and_generates(models, method, flags):
    model, tokenizer = mlx_lm.load(str(models.mlx(method, *flags)))
    text = mlx_lm.generate(model, tokenizer, "The people of the United States", max_tokens=4)
    assert text


@pytest.mark.parametrize("method,flags", ALL[:-4], ids=IDS[:-4])
def test_every_matrix_is_quantized_as_asked(models, method, flags):
    folder = models.mlx(method, *flags)
    config, stored = read_config(folder), tensors(folder)
    want = {"bits": int(method[0]), "group_size": int(flags[1]), "mode": "affine"}
    top = {k: v for k, v in config["quantization"].items() if not isinstance(v, dict)}
    assert top == want
    for name, array in stored.items():
        if name.endswith(".weight") and array.ndim == 2:
            assert array.dtype == mx.uint32, name
            module = name.removesuffix(".weight")
            scales = stored[f"{module}.scales"]
            assert scales.dtype == mx.bfloat16
            assert array.shape[1] * 32 // want["bits"] == scales.shape[1] * want["group_size"]


@pytest.mark.parametrize("method,flags", ALL, ids=IDS)
def test_dequantize_is_our_decode_bit_for_bit(models, scratch, method, flags):
    folder = models.mlx(method, *flags)
    config, stored = read_config(folder), tensors(folder)
    for name, array in stored.items():
        if name.endswith((".scales", ".biases")):
            continue
        module = name.rpartition(".")[0]
        if array.dtype == mx.uint32:
            how = setting(config, module)
            theirs = peers.mlx_dequantize(array, stored[f"{module}.scales"],
                                          stored[f"{module}.biases"], how["bits"],
                                          how["group_size"])
        else:
            theirs = np.array(array.astype(mx.float32))
        ours = pajamas.tensor_values(folder, name, scratch)
        assert np.array_equal(ours.view(np.uint32), theirs.reshape(-1).view(np.uint32)), name


@pytest.mark.parametrize("method,flags", ALL, ids=IDS)
def test_float32_logits(models, scratch, short_text, short_chunks, method, flags):
    folder = models.mlx(method, *flags)
    theirs = peers.mlx_logits(folder, short_chunks)
    ours = pajamas.logits(folder, short_text, 256, VOCAB, scratch)
    assert peers.mean_kl(ours, theirs) < 1e-8


def test_bf16_is_the_original(models):
    stored = tensors(models.mlx("bf16"))
    originals = reference_gguf.hf_tensors(pajamas.TINY)
    assert stored.keys() == originals.keys()
    for name, array in stored.items():
        assert array.dtype == mx.bfloat16
        assert np.array_equal(np.array(array.astype(mx.float32)), originals[name]), name
    assert "quantization" not in read_config(models.mlx("bf16"))


@pytest.mark.parametrize("name", MIXED)
def test_mixed_bits(models, name):
    method, flags, want = MIXED[name]
    folder = models.mlx(method, *flags)
    config, stored = read_config(folder), tensors(folder)
    for module, bits in want.items():
        how = setting(config, module)
        assert how["bits"] == bits
        width = stored[f"{module}.scales"].shape[1] * how["group_size"]
        assert stored[f"{module}.weight"].shape[1] * 32 == width * bits
    for key, value in config["quantization"].items():
        if isinstance(value, dict):
            assert value.keys() == FULL, key
    if name == "embedding-only":
        assert setting(config, "lm_head")["bits"] == 4


def test_directory_is_complete(models):
    folder = models.mlx("4bit", "--group-size", "64")
    config, original = read_config(folder), read_config(pajamas.TINY)
    assert config["quantization"] == config["quantization_config"]
    for key, value in original.items():
        assert config[key] == value, key
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    stored = tensors(folder)
    assert index["weight_map"].keys() == stored.keys()
    assert all((folder / file).exists() for file in index["weight_map"].values())
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in stored.values())
    assert index["metadata"]["total_parameters"] == sum(
        a.size for a in reference_gguf.hf_tensors(pajamas.TINY).values())
    from safetensors import safe_open
    with safe_open(folder / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "mlx"}
    for name in ("tokenizer.json", "generation_config.json"):
        assert json.loads((folder / name).read_text()) == json.loads(
            (pajamas.TINY / name).read_text())
    _, tokenizer = mlx_lm.load(str(folder))
    messages = [{"role": "user", "content": "hi"}]
    assert "<|im_start|>user\nhi" in tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True)


def test_tied_and_float16_checkpoints(make_checkpoint, scratch, short_text, short_chunks):
    source = make_checkpoint("tied-f16", "--dtype", "f16", tie_word_embeddings=True)
    folder = scratch / "tied-f16-mlx"
    pajamas.quantize(source, "mlx", "4bit", folder)
    stored = tensors(folder)
    assert not any(name.startswith("lm_head") for name in stored)
    assert stored["model.embed_tokens.scales"].dtype == mx.float16
    theirs = peers.mlx_logits(folder, short_chunks)
    ours = pajamas.logits(folder, short_text, 256, VOCAB, scratch)
    assert peers.mean_kl(ours, theirs) < 1e-8


def test_rows_that_do_not_fit_the_group(make_checkpoint, scratch, short_text, short_chunks):
    """864 is no multiple of 64: another group size, written in full, or none."""
    source = make_checkpoint("odd-rows", hidden_size=320, num_attention_heads=5,
                             num_key_value_heads=1, intermediate_size=864, num_hidden_layers=9)
    folder = scratch / "odd-rows-mlx"
    pajamas.quantize(source, "mlx", "4bit", folder, "--group-size", "64")
    config, stored = read_config(folder), tensors(folder)
    assert stored["model.layers.0.mlp.up_proj.weight"].dtype == mx.uint32
    module = "model.layers.0.mlp.down_proj"
    if stored[f"{module}.weight"].dtype == mx.uint32:
        assert config["quantization"][module] == {"group_size": 32, "bits": 4, "mode": "affine"}
    else:
        assert stored[f"{module}.weight"].dtype == mx.bfloat16
    theirs = peers.mlx_logits(folder, short_chunks)
    ours = pajamas.logits(folder, short_text, 256, VOCAB, scratch)
    assert peers.mean_kl(ours, theirs) < 1e-8


def test_both_formats_in_one_pass_are_the_single_ones(models, scratch):
    both = scratch / "both"
    done = pajamas.quantize(pajamas.TINY, "gguf,mlx", "Q4_K_M:4bit", both, "--embedding-bits", "6",
                            "--group-size", "64")
    assert done.returncode == 0
    single = models.mlx("4bit", "--embedding-bits", "6", "--group-size", "64")
    gguf = both / "gguf/model-q4_k_m.gguf"
    assert gguf.read_bytes() == models.gguf("Q4_K_M").read_bytes()
    folder = both / "mlx/model-4bit"
    assert {p.name for p in folder.iterdir()} == {p.name for p in single.iterdir()}
    for file in single.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("method,stem", [("Q8_0", "8bit"), ("Q5_K_M", "5bit"), ("Q4_0", "4bit"),
                                         ("Q3_K_S", "3bit"), ("F16", "bf16")])
def test_one_method_for_two_formats_is_translated_and_said(scratch, method, stem):
    both = scratch / f"translated-{method}"
    done = pajamas.quantize(pajamas.TINY, "gguf,mlx", method, both)
    assert (both / f"gguf/model-{method.lower()}.gguf").exists()
    assert (both / f"mlx/model-{stem}").is_dir()
    assert stem in done.stderr + done.stdout
