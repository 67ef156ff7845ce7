"""GGUF files and MLX directories as input of `quantize`: what is exact stays exact, and what was
quantized already is quantized again only where --allow-requantize says so."""

import gguf
import mlx.core as mx
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
from moe import read_config
from test_moe_gguf import PRE
from test_moe_mlx import EXPERTS, overrides, tensors

LOSSLESS = [("gguf", "BF16"), ("gguf", "F32"), ("mlx", "bf16")]


def made(subject, formats, method, *flags):
    models = subject.models
    return models.gguf(method, *flags) if formats == "gguf" else models.mlx(method, *flags)


def exact_source(subject, formats, method):
    """A lossless form of the model; its experts opened, as those forms have them."""
    models = subject.models_of(subject.opened())
    return models.gguf(method) if formats == "gguf" else models.mlx(method)


def gguf_data(path):
    return {t.name: (t.tensor_type, t.data) for t in gguf.GGUFReader(path).tensors}


def assert_same_gguf(ours, theirs):
    ours, theirs = gguf_data(ours), gguf_data(theirs)
    assert ours.keys() == theirs.keys()
    for name, (dtype, data) in theirs.items():
        assert ours[name][0] == dtype, name
        assert np.array_equal(ours[name][1], data), name


def assert_same_mlx(ours, theirs):
    a, b = tensors(ours), tensors(theirs)
    assert a.keys() == b.keys()
    for name, array in b.items():
        assert a[name].dtype == array.dtype and a[name].shape == array.shape, name
        assert np.array_equal(np.array(a[name].view(mx.uint8)), np.array(array.view(mx.uint8))), name
    quantization = (read_config(p).get("quantization") for p in (ours, theirs))
    assert next(quantization) == next(quantization)


@pytest.mark.parametrize("formats,method", LOSSLESS)
def test_a_lossless_form_is_as_good_as_the_checkpoint(subject, tmp_path, formats, method):
    """One pass from it to both formats gives the tensors of the checkpoint's own."""
    source = exact_source(subject, formats, method)
    pajamas.quantize(source, "gguf,mlx", "Q4_K_M:4bit", tmp_path / "out", "--group-size", "32")
    direct = subject.models_of(subject.opened())
    assert_same_gguf(tmp_path / "out/gguf/model-q4_k_m.gguf", direct.gguf("Q4_K_M"))
    if method != "F32":  # scales have the dtype of the weights
        assert_same_mlx(tmp_path / "out/mlx/model-4bit", direct.mlx("4bit", "--group-size", "32"))


@pytest.mark.parametrize("formats,method", LOSSLESS[::2])
def test_what_comes_out_is_complete(subject, scratch, tmp_path, formats, method):
    """Metadata, configuration and tokenizer are there whatever the input was."""
    source = exact_source(subject, formats, method)
    pajamas.quantize(source, "gguf,mlx", "Q8_0:8bit", tmp_path / "out")
    file, folder = tmp_path / "out/gguf/model-q8_0.gguf", tmp_path / "out/mlx/model-8bit"
    ours, direct = (reference_gguf.metadata(p) for p in
                    (file, subject.models_of(subject.opened()).gguf("Q8_0")))
    for name, value in direct.items():
        if name != "general.name" and not name.startswith("general.sampling."):
            assert ours.get(name) == value, name
    theirs = subject.llama_logits(file)
    assert peers.mean_kl(subject.logits(file, scratch), theirs) < 5e-3
    theirs = subject.mlx_logits(folder)
    assert peers.mean_kl(subject.logits(folder, scratch), theirs) < 1e-8
    text = "In the beginning, it's 1234 — naïve."
    for path in (file, folder):
        assert pajamas.tokenize(path, text) == subject.tokenizer.encode(
            text, add_special_tokens=False).ids


def test_a_file_of_another_writer(subject, tmp_path):
    """As llama.cpp's converter would have written it."""
    path = tmp_path / "reference.gguf"
    reference_gguf.write(subject.source, path, pre=PRE[subject.name])
    pajamas.quantize(path, "gguf", "Q5_K_M", tmp_path / "out.gguf")
    assert_same_gguf(tmp_path / "out.gguf",
                     subject.models_of(subject.opened()).gguf("Q5_K_M"))


# --- experts in MXFP4 ----------------------------------------------------------------------------


def test_mxfp4_goes_from_format_to_format(gpt_oss, tmp_path):
    """GGUF -> MLX -> GGUF: the bits of the checkpoint; nothing lossy is opened, so no flag."""
    native = tmp_path / "native.gguf"
    reference_gguf.write(gpt_oss.source, native, mxfp4=True, pre="gpt-4o")
    pajamas.quantize(native, "gguf,mlx", "Q8_0:8bit", tmp_path / "one", "--group-size", "32")
    want = reference_gguf.mxfp4_tensors(gpt_oss.original)
    for name, (dtype, data) in gguf_data(tmp_path / "one/gguf/model-q8_0.gguf").items():
        if name in want:
            assert dtype.name == "MXFP4" and np.array_equal(data.reshape(-1),
                                                            want[name].reshape(-1)), name
    folder = tmp_path / "one/mlx/model-8bit"
    stored, settings = tensors(folder), overrides(read_config(folder))
    values = reference_gguf.gguf_tensors(gpt_oss.original)
    module = "model.layers.2.mlp.experts.up_proj"
    assert settings[module]["mode"] == "mxfp4"
    assert np.array_equal(peers.mlx_dequantize_mxfp4(stored[f"{module}.weight"],
                                                     stored[f"{module}.scales"]),
                          values["blk.2.ffn_up_exps.weight"])
    pajamas.quantize(folder, "gguf", "Q8_0", tmp_path / "back.gguf", "--allow-requantize",
                     "--tensor-type", "_exps=MXFP4")
    back = gguf_data(tmp_path / "back.gguf")
    for name, bits in want.items():
        assert back[name][0].name == "MXFP4"
        assert np.array_equal(back[name][1].reshape(-1), bits.reshape(-1)), name


# --- lossy input ---------------------------------------------------------------------------------

LOSSY = [("gguf", "Q8_0", "Q4_K_M", "Q8_0"), ("gguf", "Q4_K_M", "Q8_0", "Q4_K"),
         ("mlx", "8bit", "Q4_K_M", "8"), ("mlx", "4bit", "Q8_0", "4")]


@pytest.mark.parametrize("formats,method,target,said", LOSSY)
def test_lossy_tensors_are_not_quantized_again_unasked(subject, tmp_path, formats, method, target,
                                                       said):
    source = made(subject, formats, method)
    done = pajamas.quantize(source, "gguf", target, tmp_path / "out.gguf", check=False)
    assert 0 < done.returncode < 128
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "--allow-requantize" in done.stderr and said in errors[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("formats,method,target,said", LOSSY)
def test_and_when_asked_it_is_said_from_what(subject, scratch, tmp_path, formats, method, target,
                                             said):
    source = made(subject, formats, method)
    out = tmp_path / "out.gguf"
    done = pajamas.quantize(source, "gguf", target, out, "--allow-requantize")
    assert said in done.stderr + done.stdout
    kl = peers.mean_kl(subject.logits(out, scratch), subject.logits(source, scratch))
    assert kl < 0.05, kl


def test_into_mlx(subject, scratch, tmp_path):
    source = subject.models.gguf("Q6_K")
    out = tmp_path / "out"
    assert pajamas.quantize(source, "mlx", "6bit", out, check=False).returncode not in (0, 10)
    pajamas.quantize(source, "mlx", "6bit", out, "--allow-requantize")
    theirs = subject.mlx_logits(out)
    assert peers.mean_kl(subject.logits(out, scratch), theirs) < 1e-8
    assert peers.mean_kl(theirs, subject.logits(source, scratch)) < 0.02


def test_dequantizing_loses_nothing(subject, scratch, tmp_path):
    """A quantized file as F32: the values are those of its codes."""
    source = subject.models.gguf("Q4_K_M")
    out = tmp_path / "out.gguf"
    pajamas.quantize(source, "gguf", "F32", out, "--allow-requantize")
    want = {t.name: reference_gguf.decode(t) for t in gguf.GGUFReader(source).tensors}
    for tensor in gguf.GGUFReader(out).tensors:
        assert tensor.tensor_type.name == "F32"
        ours, theirs = reference_gguf.decode(tensor), want[tensor.name]
        assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max(), tensor.name


def test_the_plan_reads_them_too(subject):
    for source in (subject.models.gguf("BF16"), subject.models.mlx("bf16")):
        ours = pajamas.plan(source, "gguf", "Q4_K_M")["outputs"][0]
        direct = pajamas.plan(subject.opened(), "gguf", "Q4_K_M")["outputs"][0]
        assert {t["name"]: t["type"] for t in ours["tensors"]} == {
            t["name"]: t["type"] for t in direct["tensors"]}
        assert ours["tensor_bytes"] == direct["tensor_bytes"]


def test_experts_are_named_as_mlx_lm_does(subject):
    """What the tests above rely on."""
    stored = tensors(subject.models.mlx("bf16"))
    assert any(f".{EXPERTS[subject.name]}.gate_proj.weight" in name for name in stored)


def test_dense_models_too(models, tmp_path):
    for source in (models.gguf("BF16"), models.mlx("bf16")):
        out = tmp_path / f"{source.name}.out.gguf"
        pajamas.quantize(source, "gguf", "Q4_K_M", out)
        assert_same_gguf(out, models.gguf("Q4_K_M"))
