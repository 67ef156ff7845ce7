"""GGUF files of the mixture-of-experts models against llama.cpp and the gguf package."""

import re

import gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
import reference_shapes
from effort import every

METHODS = pajamas.MOE_METHODS
FLOATS = ("F32", "F16", "BF16")
QUANTIZED = [m for m in METHODS if m not in FLOATS]
EXPERTS = [("_exps", "MXFP4")]
PRE = {"tiny-qwen3-moe": "qwen2", "tiny-gpt-oss": "gpt-4o"}


def file_types(path):
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


@pytest.fixture(scope="session")
def reference(subject, scratch):
    """Float32, by the second writer."""
    path = scratch / f"reference-{subject.name}.gguf"
    reference_gguf.write(subject.source, path, pre=PRE[subject.name])
    return path


@pytest.fixture(scope="session")
def native(gpt_oss, scratch):
    """Float32 but for the experts, by the second writer."""
    path = scratch / "reference-native.gguf"
    reference_gguf.write(gpt_oss.source, path, mxfp4=True, pre="gpt-4o")
    return path


def test_the_peers_agree_on_the_reference(subject, reference):
    """On a file that none of our code has touched: the tolerances below mean something."""
    theirs = subject.llama_logits(reference)
    assert peers.mean_kl(theirs, subject.mlx_logits(subject.source)) < 1e-8


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", every(2, METHODS))
def test_types_are_those_of_llama_quantize(subject, reference, scratch, method):
    """Experts opened. (Full shapes: test_moe_sizes.py.)"""
    ours = subject.models_of(subject.opened()).gguf(method)
    assert file_types(ours) == reference_shapes.types_of_llama_quantize(reference, scratch, method)


@pytest.mark.parametrize("method", QUANTIZED)
def test_types_with_the_experts_kept(gpt_oss, native, scratch, method):
    theirs = scratch / "theirs.gguf"
    peers.llama_quantize(native, theirs, method, EXPERTS)
    assert file_types(gpt_oss.models.gguf(method)) == file_types(theirs)


@pytest.mark.parametrize("method", ["Q8_0", "Q4_K_M", "Q2_K", "MXFP4_MOE"])
def test_opened_experts_are_those_of_the_bf16_checkpoint(gpt_oss, method):
    """--allow-requantize on MXFP4 is the method on the same values."""
    opened = gpt_oss.models.gguf(method, "--allow-requantize")
    other = gpt_oss.models_of(gpt_oss.opened()).gguf(method)
    ours, theirs = ({t.name: t for t in gguf.GGUFReader(p).tensors} for p in (opened, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].tensor_type == tensor.tensor_type, name
        if method != "MXFP4_MOE" or "_exps." not in name:
            assert np.array_equal(ours[name].data, tensor.data), name


@pytest.mark.parametrize("method", QUANTIZED)
def test_kept_experts_are_the_checkpoints_bits(gpt_oss, method):
    want = reference_gguf.mxfp4_tensors(gpt_oss.original)
    for tensor in gguf.GGUFReader(gpt_oss.models.gguf(method)).tensors:
        if tensor.name in want:
            assert tensor.tensor_type == gguf.GGMLQuantizationType.MXFP4
            assert np.array_equal(tensor.data.reshape(-1), want.pop(tensor.name).reshape(-1))
    assert not want


@pytest.mark.parametrize("method", FLOATS)
def test_floats_dequantize(gpt_oss, method):
    """E2M1 times a power of two has an exact form in all three."""
    want = reference_gguf.gguf_tensors(gpt_oss.original)
    for tensor in gguf.GGUFReader(gpt_oss.models.gguf(method)).tensors:
        if "_exps.weight" in tensor.name:
            assert tensor.tensor_type.name == method
            assert np.array_equal(reference_gguf.decode(tensor), want[tensor.name]), tensor.name


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_unquantized_tensors_are_exact(subject, method):
    """Routers too, and they are never quantized."""
    originals = reference_gguf.gguf_tensors(subject.source)
    stored = gguf.GGUFReader(subject.models.gguf(method)).tensors
    assert {t.name for t in stored} == originals.keys()
    for tensor in stored:
        assert [int(n) for n in reversed(tensor.shape)] == list(originals[tensor.name].shape)
        if tensor.tensor_type.name in ("F32", "BF16"):
            assert np.array_equal(reference_gguf.decode(tensor), originals[tensor.name]), tensor.name
        if "ffn_gate_inp" in tensor.name or "sinks" in tensor.name or "norm" in tensor.name:
            assert tensor.tensor_type.name == "F32", tensor.name


@pytest.mark.parametrize("method", ["F16", "Q6_K", "Q3_K_M", "Q5_1", "MXFP4_MOE"])
def test_our_decode_is_that_of_the_gguf_package(subject, scratch, method):
    path = subject.models.gguf(method)
    for tensor in gguf.GGUFReader(path).tensors:
        if not re.search(r"blk\.1\.(ffn|attn_(q|sinks))|token_embd", tensor.name):
            continue
        theirs = reference_gguf.decode(tensor).reshape(-1)
        ours = pajamas.tensor_values(path, tensor.name, scratch)
        assert ours.shape == theirs.shape, tensor.name
        block = gguf.GGML_QUANT_SIZES[tensor.tensor_type][0]
        scale = np.abs(theirs.reshape(-1, block)).max(axis=1)
        worst = np.abs(ours.reshape(-1, block) - theirs.reshape(-1, block)).max(axis=1)
        exact = tensor.tensor_type.name == "MXFP4"
        assert (worst <= (0 if exact else 1e-6) * scale).all(), tensor.name


@pytest.mark.parametrize("method", ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K", "Q4_0",
                                    "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "MXFP4_MOE"])
def test_expert_stacks_err_no_more_than_llama_cpps(subject, method):
    """Every expert of a stack is quantized from its own rows; the error is at most the stock one."""
    source = subject.opened()
    originals = reference_gguf.gguf_tensors(source)
    compared = 0
    for tensor in gguf.GGUFReader(subject.models_of(source).gguf(method)).tensors:
        if "_exps.weight" not in tensor.name or ".1." not in tensor.name:
            continue
        original, dtype = originals[tensor.name], tensor.tensor_type
        rows = original.reshape(-1, original.shape[-1])
        theirs = gguf.dequantize(peers.ggml_quantize(rows, dtype), dtype).reshape(original.shape)
        error = [((v.astype(np.float64) - original) ** 2).sum(axis=(1, 2))
                 for v in (reference_gguf.decode(tensor), theirs)]
        assert (error[0] <= error[1] * (1 + 1e-5) + 1e-12).all(), (tensor.name, dtype.name)
        compared += 1
    assert compared == 3


# --- engines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", FLOATS)
def test_float_logits(subject, scratch, method):
    path = subject.models.gguf(method)
    theirs = subject.llama_logits(path)
    ours = subject.logits(path, scratch)
    # llama.cpp rounds activations to the weights' type for F16 and BF16.
    assert peers.mean_kl(ours, theirs) < (1e-8 if method == "F32" else 1e-3)


@pytest.mark.parametrize("method", ["Q8_0", "Q4_K_M", "Q2_K", "Q5_1", "MXFP4_MOE"])
def test_both_engines_agree_on_the_decoded_file(subject, scratch, method):
    decoded = scratch / "decoded.gguf"
    reference_gguf.rewrite_as_float(subject.models.gguf(method), decoded)
    theirs = subject.llama_logits(decoded)
    assert peers.mean_kl(subject.logits(decoded, scratch), theirs) < 1e-8
    # And on the file itself our engine computes with exact activations.
    assert peers.mean_kl(subject.logits(subject.models.gguf(method), scratch), theirs) < 1e-8


@pytest.mark.parametrize("method", QUANTIZED)
def test_both_engines_agree_on_the_quantized_file(subject, scratch, method):
    """llama.cpp rounds activations to int8, which now and then turns a router's choice."""
    path = subject.models.gguf(method)
    theirs = subject.llama_logits(path)
    kl = peers.kl_by_position(subject.logits(path, scratch), theirs)
    assert kl.mean() < 1e-2 and np.median(kl) < 2e-3


# --- metadata ------------------------------------------------------------------------------------

# Descriptions, and what our engine needs beyond what the converter writes.
OURS = re.compile(r"general\.(name|basename|finetune|size_label|organization|license|languages|"
                  r"tags|quantized_by)|llama-pajamas\..*|gpt-oss\.(rope\.scaling\.yarn_.*|"
                  r"attention\.sliding_window_pattern)")


def test_metadata_is_the_converters(subject, reference):
    ours, theirs = (reference_gguf.metadata(p) for p in (subject.models.gguf("F32"), reference))
    assert next(iter(ours)) == "general.architecture"
    for key, value in theirs.items():
        if key != "general.name":
            assert ours.get(key) == value, key
    extra = ours.keys() - theirs.keys()
    if "tokenizer.ggml.add_bos_token" in extra:  # llama.cpp's default, said
        assert ours["tokenizer.ggml.add_bos_token"][1] is False
        extra.remove("tokenizer.ggml.add_bos_token")
    assert all(OURS.fullmatch(key) for key in extra), extra


@pytest.mark.parametrize("method", METHODS)
def test_metadata_differs_only_in_the_file_type(subject, method):
    ours, base = (reference_gguf.metadata(subject.models.gguf(m)) for m in (method, "F32"))
    assert ours["general.file_type"] == (base["general.file_type"][0], peers.FTYPES[method])
    changed = ("general.file_type", "quantize.imatrix.")
    assert {k: v for k, v in ours.items() if not k.startswith(changed)} == \
        {k: v for k, v in base.items() if not k.startswith(changed)}


@pytest.mark.parametrize("method", ["Q4_K_M", "MXFP4_MOE", "F16"])
def test_plan_keeps_its_word(subject, method):
    planned = pajamas.plan(subject.source, "gguf", method)["outputs"][0]
    path = subject.models.gguf(method)
    assert path.stat().st_size == planned["file_bytes"]
    tensors = gguf.GGUFReader(path).tensors
    assert {t.name: int(t.n_bytes) for t in tensors} == {t["name"]: t["bytes"]
                                                         for t in planned["tensors"]}


@pytest.mark.parametrize("name,form,method", [("tiny-qwen3-moe", "fused", "Q4_K_M"),
                                              ("tiny-gpt-oss", "bf16", "F32")])
def test_every_form_gives_the_same_file(subjects, name, form, method):
    """Of gpt-oss the values are equal: its codes are no longer there."""
    subject = subjects(name)
    ours = subject.models_of(subject.form(form)).gguf(method)
    same = {t.name: t.data for t in gguf.GGUFReader(subject.models.gguf(method)).tensors}
    for tensor in gguf.GGUFReader(ours).tensors:
        assert np.array_equal(tensor.data, same.pop(tensor.name)), tensor.name
    assert not same
