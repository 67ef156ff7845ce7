"""config.json, generation_config.json and GGUF metadata as published files have them: keys that
contradict each other, flags without effect, ids that are no tokens, numbers that are not finite,
models that the stock readers of a format do not load. transformers, llama.cpp and mlx-lm judge."""

import json
import os

import gguf
import hostile_gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from moe import read_config, variant
from transformers import AutoConfig

VOCAB = 2048
PROMPT = ("--raw", "--prompt", "It was the", "--max-tokens", "24")


def logits(model, text, scratch):
    return pajamas.logits(model, text, 256, VOCAB, scratch)


def edited(source, target, **files):
    """A copy by links; each file named in `files` (FILE_json=...) is its text, or changes to it."""
    target.mkdir()
    for file in source.iterdir():
        os.symlink(file, target / file.name)
    for key, change in files.items():
        path = target / key.replace("_json", ".json")
        old = json.loads(path.read_text())
        path.unlink()
        path.write_text(change if isinstance(change, str) else json.dumps(old | change))
    return target


def answer(model, *flags):
    return pajamas.run("run", model, *PROMPT, *flags)


# --- keys that contradict each other ---------------------------------------------------------------


@pytest.fixture(scope="module")
def stale(scratch):
    """As transformers 4 saves a checkpoint of transformers 5: the default of its class outside."""
    theta = read_config(pajamas.TINY)["rope_theta"]
    return variant(pajamas.TINY, scratch / "stale-theta", rope_theta=10000.0,
                   rope_parameters={"rope_type": "default", "rope_theta": theta})


def test_stale_theta_is_not_taken(stale, scratch, short_text):
    theta = AutoConfig.from_pretrained(stale).rope_parameters["rope_theta"]
    assert theta == 1e6
    told = pajamas.run("inspect", stale, "--json")
    assert json.loads(told.stdout)["hyperparameters"]["rope_theta"] == theta
    assert "rope_theta" in told.stderr and "10000" in told.stderr and "1000000" in told.stderr
    want = logits(pajamas.TINY, short_text, scratch)
    assert np.array_equal(logits(stale, short_text, scratch), want)


@pytest.mark.parametrize("format", ["gguf", "mlx"])
def test_stale_theta_reaches_no_output(stale, scratch, tmp_path, short_text, short_chunks, format):
    path = tmp_path / ("out.gguf" if format == "gguf" else "out")
    done = pajamas.quantize(stale, format, "F32" if format == "gguf" else "bf16", path)
    assert "rope_theta" in done.stderr
    if format == "gguf":
        theirs = peers.llama_logits(path, short_chunks)
    else:
        theirs = peers.mlx_logits(path, short_chunks)
    assert peers.mean_kl(logits(pajamas.TINY, short_text, scratch), theirs) < 1e-8


# --- what stock readers do not load -----------------------------------------------------------------

UNLOADABLE = {
    "qwen2-head-dim": (pajamas.TINY, dict(head_dim=32), "head_dim", "both"),
    "gpt-oss-tied": (pajamas.TINY_OSS, dict(tie_word_embeddings=True), "tie_word_embeddings",
                     "both"),
    "gpt-oss-all-full": (pajamas.TINY_OSS, dict(layer_types=["full_attention"] * 4), "layer_types",
                         "mlx"),
}


@pytest.mark.parametrize("name", UNLOADABLE)
def test_refused_before_work(make_checkpoint, tmp_path, name):
    source, changes, key, _ = UNLOADABLE[name]
    folder = make_checkpoint(name, of=source, **changes)
    assert answer(folder).stdout
    for format, method in (("gguf", "Q8_0"), ("mlx", "8bit"), ("gguf,mlx", "Q8_0:8bit")):
        done = pajamas.quantize(folder, format, method, tmp_path / "out", check=False)
        assert done.returncode == 5 and key in done.stderr, done.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", UNLOADABLE)
def test_stock_readers_do_not_load_them(make_checkpoint, tmp_path, short_chunks, name):
    """The reason for refusing: what the stock converters would write."""
    source, changes, _, formats = UNLOADABLE[name]
    folder = make_checkpoint(name, of=source, **changes)
    with pytest.raises(Exception):
        peers.mlx_logits(folder, short_chunks[:1])
    if formats == "both":
        path = tmp_path / "theirs.gguf"
        reference_gguf.write(folder, path)
        with pytest.raises(AssertionError, match="loads"):
            peers.llama_logits(path, short_chunks[:1])


def test_mlx_output_has_what_mlx_lm_demands(make_checkpoint, qwen3_moe, scratch, tmp_path,
                                            short_chunks, short_text):
    """transformers has defaults for these keys, mlx-lm demands them or has other defaults."""
    whole = make_checkpoint("whole-config", of=qwen3_moe.original, num_attention_heads=4)
    sparse = variant(whole, tmp_path / "sparse", num_experts=None, num_local_experts=8,
                     head_dim=None, decoder_sparse_step=None, mlp_only_layers=None,
                     tie_word_embeddings=None, num_key_value_heads=2)
    config = {k: v for k, v in read_config(sparse).items() if v is not None}
    (sparse / "config.json").write_text(json.dumps(config))
    pajamas.quantize(sparse, "mlx", "bf16", tmp_path / "out")
    theirs = peers.mlx_logits(tmp_path / "out", short_chunks)
    assert peers.mean_kl(logits(whole, short_text, scratch), theirs) < 1e-8


# --- sampling ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[{"repetition_penalty": 1.7, "temperature": 0.3},
                                        {"do_sample": False, "repetition_penalty": 1.7},
                                        {"do_sample": False, "temperature": 5.0}],
                ids=["penalty", "greedy-penalty", "greedy"])
def recommended(request, scratch):
    """A checkpoint with these settings alone, its GGUF, and MLX made of each."""
    name = "sampling-" + "-".join(map(str, request.param.values()))
    source = scratch / name
    source.mkdir()
    for file in pajamas.TINY.iterdir():
        if file.name != "generation_config.json":
            os.symlink(file, source / file.name)
    (source / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [2018, 2016]} | request.param))
    forms = {"gguf": scratch / f"{name}.gguf", "mlx": scratch / f"{name}-mlx",
             "mlx-of-gguf": scratch / f"{name}-mlx-of-gguf"}
    pajamas.quantize(source, "gguf", "BF16", forms["gguf"])
    pajamas.quantize(source, "mlx", "bf16", forms["mlx"])
    pajamas.quantize(forms["gguf"], "mlx", "bf16", forms["mlx-of-gguf"])
    return request.param, {"checkpoint": source, **forms}


def test_every_form_samples_alike(recommended):
    settings, forms = recommended
    want = ["--temperature", "0" if settings.get("do_sample") is False
            else str(settings["temperature"])]
    want += ["--repeat-penalty", str(settings.get("repetition_penalty", 1))]
    expected = answer(pajamas.TINY, *want, "--top-k", "40", "--top-p", "0.95").stdout
    for name, path in forms.items():
        assert answer(path).stdout == expected, name


def test_gguf_has_the_names_of_gguf_py(recommended):
    settings, forms = recommended
    written = reference_gguf.metadata(forms["gguf"])
    keys = gguf.Keys.General
    want = {keys.SAMPLING_PENALTY_REPEAT: settings.get("repetition_penalty"),
            keys.SAMPLING_TEMP: 0.0 if settings.get("do_sample") is False
            else settings.get("temperature")}
    for key, value in want.items():
        assert written.get(key, (None, None))[1] == (None if value is None
                                                     else pytest.approx(value)), key


# --- ids that are no tokens -------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, VOCAB, 4294967295, [2016, -1]], ids=str)
def test_ids_that_are_no_tokens(tmp_path, bad):
    folder = edited(pajamas.TINY, tmp_path / "model",
                    config_json={"pad_token_id": bad, "bos_token_id": bad},
                    generation_config_json={"eos_token_id": [2018, -1, VOCAB], "pad_token_id": bad})
    done = answer(folder)
    for told in ("note: config.json: pad_token_id", "generation_config.json: pad_token_id",
                 "eos_token_id"):
        assert told in done.stderr, told
    done = pajamas.quantize(folder, "gguf", "Q8_0", tmp_path / "out.gguf")
    assert "pad_token_id" in done.stderr and "ignored" in done.stderr
    with peers.llama_model(tmp_path / "out.gguf", vocab_only=True) as model:
        assert model.token_eos() == 2018
    assert pajamas.run_json("inspect", tmp_path / "out.gguf", "--json")["tokenizer"][
        "stop_token_ids"] == pajamas.run_json("inspect", folder, "--json")["tokenizer"][
        "stop_token_ids"]


def test_gguf_ids_that_are_no_tokens(models, tmp_path):
    document = hostile_gguf.read(models.gguf("F32"))
    for key in ("bos", "eos", "padding"):
        document.set(f"tokenizer.ggml.{key}_token_id", 4294967295)
    path = tmp_path / "odd.gguf"
    hostile_gguf.write(document, path)
    done = answer(path)
    assert done.stderr.count("4294967295") == 3
    pajamas.quantize(path, "mlx", "4bit", tmp_path / "mlx")
    config = read_config(tmp_path / "mlx")
    assert not {"bos_token_id", "eos_token_id", "pad_token_id"} & config.keys()


# --- windows, numbers -------------------------------------------------------------------------------

WINDOWS = {"maxlayers": (512, 4), "maxmore": (64, 28), "null": (None, 0)}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_of_no_layer(tmp_path, scratch, short_text, name):
    window, first = WINDOWS[name]
    folder = variant(pajamas.TINY, tmp_path / name, use_sliding_window=True, sliding_window=window,
                     max_window_layers=first)
    assert set(AutoConfig.from_pretrained(folder).layer_types) == {"full_attention"}
    assert np.array_equal(logits(folder, short_text, scratch),
                          logits(pajamas.TINY, short_text, scratch))
    pajamas.quantize(folder, "gguf,mlx", "Q8_0:8bit", tmp_path / "out")


def test_a_real_window_is_refused(tmp_path):
    folder = variant(pajamas.TINY, tmp_path / "real", use_sliding_window=True, sliding_window=64,
                     max_window_layers=2)
    assert "sliding_attention" in AutoConfig.from_pretrained(folder).layer_types
    for command in (("run", folder, "--prompt", "x"), ("inspect", folder),
                    ("plan", folder, "--format", "gguf", "--method", "Q8_0")):
        done = pajamas.run(*command, check=False)
        assert done.returncode == 5 and "window" in done.stderr, done.stderr


def test_numbers_that_are_not_finite(tmp_path):
    """As json.dumps and transformers write them, in every file that is read."""
    odd = {"of_no_use": [float("nan"), float("inf"), float("-inf")]}
    folder = edited(pajamas.TINY, tmp_path / "model", tokenizer_json=odd,
                    generation_config_json=odd, tokenizer_config_json=odd,
                    config_json=odd | {"tagged": {"__float__": "Infinity"}})
    assert "NaN" in (folder / "tokenizer.json").read_text()
    assert answer(folder, "--temperature", "0").stdout == answer(
        pajamas.TINY, "--temperature", "0").stdout
    pajamas.quantize(folder, "mlx", "4bit", tmp_path / "mlx")
    config = read_config(tmp_path / "mlx")
    assert np.isnan(config["of_no_use"][0]) and config["of_no_use"][1:] == [np.inf, -np.inf]
    assert config["tagged"] in (np.inf, {"__float__": "Infinity"})
    pajamas.quantize(folder, "gguf", "Q8_0", tmp_path / "out.gguf")


def test_numbers_in_an_index(tmp_path):
    folder = edited(pajamas.TINY_MOE, tmp_path / "model")
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    index.unlink()
    content["metadata"]["total_size"] = float("nan")
    index.write_text(json.dumps(content))
    pajamas.run("inspect", folder)
