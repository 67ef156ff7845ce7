"""`validate --per-layer` against stock mlx-lm, whose blocks and experts are watched."""

import contextlib
import json

import numpy as np
import pajamas
import peers
import pytest

CTX, CHUNKS = 128, 2


@contextlib.contextmanager
def watched(kind, see):
    """`see(arguments, result)` after every call of a module of that class."""
    plain = kind.__call__

    def call(self, *args, **options):
        result = plain(self, *args, **options)
        see(args, result)
        return result

    kind.__call__ = call
    try:
        yield
    finally:
        kind.__call__ = plain


def layers_of(folder, chunks):
    """([layers][tokens][hidden], [layers][tokens][used experts] or None)."""
    model = peers.mlx_model(folder)
    count = len(model.layers)
    outputs, chosen = [], []
    with contextlib.ExitStack() as stack:
        stack.enter_context(watched(type(model.layers[0]), lambda args, out: outputs.append(
            np.array(out[0], np.float64))))
        block = model.layers[0].mlp
        switch = getattr(block, "switch_mlp", getattr(block, "experts", None))
        if switch is not None:
            stack.enter_context(watched(type(switch), lambda args, out: chosen.append(
                np.array(args[1])[0])))
        peers.mlx_logits(model, chunks)

    def by_layer(calls):
        return [np.concatenate(calls[i::count]) for i in range(count)]

    return by_layer(outputs), by_layer(chosen) if chosen else None


def compare(quantized, original, text):
    done = pajamas.run("validate", quantized, "--reference", original, "--per-layer", "--text", text,
                       "--ctx", str(CTX), "--chunks", str(CHUNKS), "--json", timeout=300)
    return json.loads(done.stdout)["layers"]


@pytest.fixture(scope="module")
def chunks(short_text, tokenizer):
    ids = tokenizer.encode(short_text.read_text(), add_special_tokens=False).ids
    return peers.split(ids, CTX)[:CHUNKS]


def load_of(chosen, experts):
    counts = np.bincount(chosen.reshape(-1), minlength=experts)
    return counts / counts.sum()


@pytest.mark.parametrize("name", ["tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss"])
def test_figures_are_those_of_mlx(name, models, subjects, chunks, short_text):
    made = models if name == "tiny-qwen2" else subjects(name).models
    text, flags = short_text, []
    if name == "tiny-gpt-oss":  # its windows are half a chunk
        (text, chunks), flags = subjects(name).text(CTX, CHUNKS), ["--group-size", "32"]
    quantized, original = made.mlx("4bit", *flags), made.source
    ours = compare(quantized, original, text)
    (outputs, chosen), (base, base_chosen) = layers_of(quantized, chunks), layers_of(original, chunks)
    assert [layer["layer"] for layer in ours] == list(range(len(base)))
    for i, layer in enumerate(ours):
        error = np.linalg.norm(outputs[i] - base[i]) / np.linalg.norm(base[i])
        assert 0.001 < error < 0.5
        assert layer["error"] == pytest.approx(error, rel=0.01)
        if base_chosen is None:
            assert "same_experts" not in layer
            continue
        same = np.mean([len(set(a) & set(b)) / len(b)
                        for a, b in zip(chosen[i].tolist(), base_chosen[i].tolist())])
        # A router's near tie may fall another way.
        assert layer["same_experts"] == pytest.approx(same, abs=4 / chosen[i].size)
        experts = len(layer["expert_load"])
        for key, who in (("expert_load", chosen), ("reference_expert_load", base_chosen)):
            assert sum(layer[key]) == pytest.approx(1)
            assert np.abs(np.array(layer[key]) - load_of(who[i], experts)).max() < 4 / who[i].size
    if base_chosen is not None:
        assert ours[-1]["same_experts"] < 1


@pytest.mark.parametrize("model", [pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS],
                         ids=lambda path: path.name)
def test_a_model_is_itself(model, short_text):
    for layer in compare(model, model, short_text):
        assert layer["error"] == 0 and layer.get("same_experts", 1) == 1
        assert layer.get("expert_load") == layer.get("reference_expert_load")
        assert ("expert_load" in layer) == (model != pajamas.TINY)


def test_the_table(qwen3_moe, short_text):
    flags = ["--per-layer", "--text", short_text, "--ctx", str(CTX), "--chunks", str(CHUNKS)]
    args = ["validate", qwen3_moe.models.mlx("4bit"), "--reference", qwen3_moe.original, *flags]
    lines = pajamas.run(*args).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("layer   error of output"))
    layers = json.loads(pajamas.run(*args, "--json").stdout)["layers"]
    for layer, line in zip(layers, lines[at + 1:]):
        number, error, _, same, _ = line.split()
        assert int(number) == layer["layer"]
        assert float(error) == pytest.approx(layer["error"] * 100, abs=1e-4)
        assert float(same) == pytest.approx(layer["same_experts"] * 100, abs=0.01)
    loads = " ".join(lines[at + len(layers) + 2:]).split()
    numbers = iter(loads)
    for layer in layers:
        assert int(next(numbers)) == layer["layer"]
        for load in layer["expert_load"]:
            assert float(next(numbers)) == pytest.approx(load * 100, abs=0.051)
    # In little memory, the same.
    assert pajamas.run(*args, "--memory-budget", "1GB").stdout.splitlines() == lines


def test_what_it_needs(tmp_path):
    pajamas.run("validate", pajamas.TINY, "--chunks", "2", "--ctx", "64", "--save-reference",
                tmp_path / "kept")
    for flags, part in ((["--per-layer"], "compares with another model"),
                        (["--per-layer", "--reference", tmp_path / "kept"], "has no layers"),
                        (["--per-layer", "--metrics", "mmlu", "--reference", pajamas.TINY],
                         "not measured")):
        done = pajamas.run("validate", pajamas.TINY, *flags, check=False)
        assert done.returncode == 2 and part in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
