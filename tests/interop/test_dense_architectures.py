"""Dense Qwen3 and Llama 3 on generated checkpoints, against mlx-lm and llama.cpp."""

import gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from effort import by_day
from moe import Models
from test_moe_engine import assert_close

VOCAB = 2048
SMALL = dict(num_hidden_layers=3, use_sliding_window=False, sliding_window=None)
QWEN3 = SMALL | dict(model_type="qwen3", architectures=["Qwen3ForCausalLM"], head_dim=96,
                     attention_bias=False, rope_scaling=None)
LLAMA = SMALL | dict(model_type="llama", architectures=["LlamaForCausalLM"], rope_theta=500000.0,
                     rms_norm_eps=1e-5, attention_bias=False, mlp_bias=False, rope_scaling=None,
                     hidden_act="silu")
LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                  "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
MODELS = {
    "qwen3": QWEN3,
    "qwen3-tied": QWEN3 | dict(tie_word_embeddings=True, head_dim=64),
    "llama": LLAMA,
    "llama3": LLAMA | dict(rope_scaling=LLAMA3_SCALING, head_dim=64),
    "llama3-tied": LLAMA | dict(rope_scaling=LLAMA3_SCALING, tie_word_embeddings=True),
}


class Dense:
    def __init__(self, name, folder, scratch):
        self.name, self.folder, self.models = name, folder, Models(scratch, folder)


@pytest.fixture(scope="module", params=MODELS)
def dense(request, make_checkpoint, scratch):
    name = request.param
    place = scratch / f"dense-{name}"
    place.mkdir()
    return Dense(name, make_checkpoint(name, **MODELS[name]), place)


def ours(model, text, scratch):
    return pajamas.logits(model, text, 256, VOCAB, scratch)


def test_logits_against_mlx(dense, scratch, short_text, short_chunks):
    assert_close(ours(dense.folder, short_text, scratch),
                 peers.mlx_logits(dense.folder, short_chunks), dense.name)


@pytest.mark.parametrize("method", by_day(["F32", "BF16", "Q8_0", "Q4_K_M", "Q2_K"], "F32", "Q4_K_M"))
def test_llama_loads_and_agrees(dense, scratch, short_text, short_chunks, method):
    path = dense.models.gguf(method)
    theirs = peers.llama_logits(path, short_chunks)
    kl = peers.mean_kl(ours(path, short_text, scratch), theirs)
    # llama.cpp rounds activations, which generated weights feel more than trained ones do.
    assert kl < (1e-8 if method == "F32" else 5e-2)


def test_both_engines_agree_on_the_decoded_file(dense, scratch, short_text, short_chunks):
    decoded = scratch / "decoded.gguf"
    reference_gguf.rewrite_as_float(dense.models.gguf("Q4_K_M"), decoded)
    theirs = peers.llama_logits(decoded, short_chunks)
    assert peers.mean_kl(ours(decoded, short_text, scratch), theirs) < 1e-8


@pytest.mark.parametrize("method", by_day(["bf16", "4bit", "3bit"], "4bit"))
def test_mlx_loads_and_agrees(dense, scratch, short_text, short_chunks, method):
    folder = dense.models.mlx(method)
    theirs = peers.mlx_logits(folder, short_chunks)
    assert peers.mean_kl(ours(folder, short_text, scratch), theirs) < 1e-8


@pytest.mark.parametrize("method", by_day(["Q4_K_M", "Q3_K_M", "Q2_K", "Q5_K_S", "Q4_0"], "Q4_K_M",
                                          "Q2_K"))
def test_types_are_those_of_llama_quantize(dense, scratch, method):
    source, theirs = scratch / "reference.gguf", scratch / "theirs.gguf"
    reference_gguf.write(dense.folder, source)
    peers.llama_quantize(source, theirs, method)
    mine, stock = ({t.name: t.tensor_type.name for t in gguf.GGUFReader(p).tensors}
                   for p in (dense.models.gguf(method), theirs))
    assert mine == stock


def test_file_is_the_converters(dense, scratch):
    """Metadata and every value: the rows of Llama's queries and keys are in GGUF's order."""
    path = scratch / "reference.gguf"
    reference_gguf.write(dense.folder, path)
    mine, theirs = (reference_gguf.metadata(p) for p in (dense.models.gguf("F32"), path))
    for key, value in theirs.items():
        if key != "general.name":
            assert mine.get(key) == value, key
    extra = [k for k in mine.keys() - theirs.keys() if not k.startswith("general.")]
    assert not extra
    want = {t.name: reference_gguf.decode(t) for t in gguf.GGUFReader(path).tensors}
    for tensor in gguf.GGUFReader(dense.models.gguf("F32")).tensors:
        values, other = reference_gguf.decode(tensor), want.pop(tensor.name)
        if tensor.name == "rope_freqs.weight":
            assert np.allclose(values, other, rtol=1e-6)
        else:
            assert np.array_equal(values, other), tensor.name
    assert not want


def test_back_from_gguf(dense, scratch, tmp_path):
    """The permutation is undone: MLX from our GGUF is MLX from the checkpoint."""
    import mlx.core as mx
    pajamas.quantize(dense.models.gguf("BF16"), "mlx", "bf16", tmp_path / "out")
    stored, want = (mx.load(str(p / "model.safetensors")) for p in
                    (tmp_path / "out", dense.models.mlx("bf16")))
    assert stored.keys() == want.keys()
    for name, array in want.items():
        assert mx.array_equal(stored[name], array), name
