"""What `run` shows of a turn: reasoning, answer and calls apart, ends respected.

The models here are made for it: each token has one that follows it, whatever came before.
"""

import json
import shutil

import numpy as np
import pajamas
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

HIDDEN = 64
VOCAB = 2048
HARMONY = pajamas.ROOT / "models/tiny-gpt-oss"
QWEN3 = pajamas.ROOT / "models/tiny-qwen3-moe"


def chain_weights(chain):
    """Qwen2 of one layer that adds nothing: the embedding's direction of each token of `chain` is
    the output's direction of the next."""
    assert len(set(chain[:-1])) == len(chain) - 1, "a token has one successor"
    embed, head = np.zeros((VOCAB, HIDDEN)), np.zeros((VOCAB, HIDDEN))
    for i, (token, following) in enumerate(zip(chain, chain[1:])):
        embed[token, i] = head[following, i] = 1
    one, layer = np.ones(HIDDEN), "model.layers.0."
    square, flat = np.zeros((HIDDEN, HIDDEN)), np.zeros(HIDDEN)
    tensors = {"model.embed_tokens.weight": embed, "lm_head.weight": head,
               "model.norm.weight": one, layer + "input_layernorm.weight": one,
               layer + "post_attention_layernorm.weight": one}
    for name in ("q", "k", "v", "o"):
        tensors[f"{layer}self_attn.{name}_proj.weight"] = square
        if name != "o":
            tensors[f"{layer}self_attn.{name}_proj.bias"] = flat
    for name in ("gate", "up", "down"):
        tensors[f"{layer}mlp.{name}_proj.weight"] = square
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def make_model(folder, source, tokenizer, chain, **changes):
    """A checkpoint with the template and ends of `source` that says `chain`."""
    for name in ("tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
        if (source / name).exists():
            shutil.copy(source / name, folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.loads((pajamas.TINY / "config.json").read_text()) | {
        "hidden_size": HIDDEN, "intermediate_size": HIDDEN, "num_attention_heads": 1,
        "num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": VOCAB,
        "tie_word_embeddings": False, "torch_dtype": "float32"} | changes
    config.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(chain_weights(chain), folder / "model.safetensors")
    return folder


def ids_of(tokenizer, *texts):
    return [i for text in texts for i in tokenizer.encode(text, add_special_tokens=False).ids]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """Says <think>, x, </think>, Hello; its tags are added tokens that are not special."""
    tokenizer = Tokenizer.from_file(str(QWEN3 / "tokenizer.json"))
    tokenizer.add_tokens(["<think>", "</think>"])
    chain = ids_of(tokenizer, "\n", "<think>", "x", "</think>", " Y", "<|im_end|>", "z")
    return make_model(tmp_path_factory.mktemp("thinker"), QWEN3, tokenizer, chain)


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """Calls python with {} by Harmony's marks, and would go on behind <|call|>."""
    tokenizer = Tokenizer.from_file(str(HARMONY / "tokenizer.json"))
    chain = ids_of(tokenizer, "assistant")[-1:] + ids_of(
        tokenizer, "<|channel|>", "commentary to=python", "<|constrain|>", "js", "<|message|>",
        "{}", "<|call|>", "!")
    return make_model(tmp_path_factory.mktemp("caller"), HARMONY, tokenizer, chain,
                      bos_token_id=2016, eos_token_id=2018)


def say(model, *flags, prompt="Hi", tokens=40):
    return pajamas.run("run", model, "--prompt", prompt, "--temperature", 0, "--max-tokens", tokens,
                       *flags)


def without_notes(text):
    """Of an MLX directory `run` notes what runs it."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("note: "))


@pytest.fixture(params=["original", "gguf", "mlx"])
def form(request, tmp_path):
    def make(model):
        if request.param == "original":
            return model
        out = tmp_path / ("model.gguf" if request.param == "gguf" else "mlx")
        pajamas.quantize(model, request.param, "F32" if request.param == "gguf" else "bf16", out)
        return out
    return make


def test_reasoning_apart_from_the_answer(thinker, form, tmp_path):
    model = form(thinker)
    stats = tmp_path / "stats.json"
    done = say(model, "--stats", stats)
    assert done.stdout == " Y\n"
    assert without_notes(done.stderr).startswith("[reasoning]\nx\n\n") and "end of text" in done.stderr
    figures = json.loads(stats.read_text())
    assert (figures["reasoning_tokens"], figures["generated_tokens"]) == (1, 4)


def test_reasoning_hidden_and_raw(thinker):
    hidden = say(thinker, "--hide-reasoning")
    assert hidden.stdout == " Y\n" and "x" not in hidden.stderr.splitlines()
    assert "[reasoning]" not in hidden.stderr
    assert say(thinker, "--raw", prompt="\n\n\n\n\n\n\n\nx\n").stdout == "<think>x</think> Y\n"


def test_reasoning_cut_short(thinker):
    done = say(thinker, tokens=2)
    assert done.stdout == "\n"
    assert done.stderr.startswith("[reasoning]\nx\n")


@pytest.mark.parametrize("level", ["off", "high"])
def test_run_and_tokenize_render_alike(thinker, tmp_path, level):
    chat, stats = tmp_path / "chat.json", tmp_path / "stats.json"
    chat.write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    ids = pajamas.run_json("tokenize", thinker, "--chat", chat, "--reasoning", level)
    say(thinker, "--reasoning", level, "--stats", stats)
    assert json.loads(stats.read_text())["prompt_tokens"] == len(ids)
    tags = pajamas.tokenize(thinker, "<think>\n\n</think>\n\n")
    assert (ids[-len(tags):] == tags) == (level == "off")


def test_a_call_ends_the_turn(caller, form, tmp_path):
    model = form(caller)
    stats = tmp_path / "stats.json"
    done = say(model, "--stats", stats)
    assert done.stdout == "{}\n"
    assert without_notes(done.stderr).startswith("[call of python]\n") and "end of text" in done.stderr
    assert json.loads(stats.read_text())["reasoning_tokens"] == 0
    assert "<|channel|>commentary" in say(model, "--raw", prompt="assistant").stdout


@pytest.mark.parametrize("level", ["low", "high"])
def test_reasoning_level(caller, level):
    done = say(caller, "--reasoning", level)
    assert done.stdout == "{}\n" and "note:" not in done.stderr
