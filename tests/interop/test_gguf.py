"""Our GGUF files against llama.cpp and the gguf package: types, metadata, values, logits."""

import json

import gguf
import numpy as np
import pajamas
import peers
import pytest
import reference_gguf
import reference_shapes
from effort import every

METHODS = pajamas.GGUF_METHODS
QUANTIZED = [m for m in METHODS if m not in ("F32", "F16", "BF16")]
VOCAB = 2048
NASTY = ("Hello,  WORLD!!\n\n\t 3.14159 don't I'LL we've\r\n<|im_start|>user\nnaïve café "
         "ＦＵＬＬ １２３ 東京 🙂👩‍👩‍👧 \u00a0x\u200bx <|im_end|><|endoftext|> ½ ² _a__b "
         "   trailing   \n \n  if (a!=b){c+=1;}\x00\x7f")


def file_types(path):
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


def planned_types(output):
    return {t["name"]: t["type"].upper() for t in output["tensors"]}


@pytest.mark.parametrize("method", METHODS)
def test_types_are_those_of_llama_quantize(models, scratch, method):
    theirs = reference_shapes.types_of_llama_quantize(models.gguf("F32"), scratch, method)
    assert file_types(models.gguf(method)) == theirs


# Layer counts, head ratios, row lengths and ties that lead to other rules than tiny-qwen2 does.
GEOMETRIES = {
    "deep": dict(num_hidden_layers=28, num_attention_heads=8, num_key_value_heads=1,
                 intermediate_size=512),
    "odd-rows": dict(hidden_size=320, num_attention_heads=5, num_key_value_heads=1,
                     intermediate_size=864, num_hidden_layers=9),
    "tied": dict(tie_word_embeddings=True, num_hidden_layers=17),
}


@pytest.fixture(scope="session")
def their_types(make_checkpoint, scratch):
    """Types that llama.cpp gives every tensor of a geometry, by method."""
    sources, found = {}, {}

    def get(name, method):
        if (name, method) in found:
            return found[name, method]
        if name not in sources:
            sources[name] = scratch / f"{name}-f32.gguf"
            reference_gguf.write(make_checkpoint(name, **GEOMETRIES[name]), sources[name])
        # Without a matrix, as `plan` has none: the dry run only warns of what needs one.
        log = peers.llama_quantize(sources[name], scratch / "theirs.gguf", method, dry_run=True)
        found[name, method] = reference_shapes.types_in_log(log)
        return found[name, method]

    return get


@pytest.mark.parametrize("method", every(2, METHODS))
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_planned_types_of_other_geometries(make_checkpoint, their_types, geometry, method):
    checkpoint = make_checkpoint(geometry, **GEOMETRIES[geometry])
    ours = pajamas.plan(checkpoint, "gguf", method)["outputs"][0]
    assert planned_types(ours) == their_types(geometry, method)


# Tensor bytes in GB that llama-quantize counts for Qwen2.5-7B, without a matrix.
PUBLISHED_GB = {
    "F16": 15.232, "BF16": 15.232, "Q8_0": 8.093, "Q6_K": 6.248, "Q5_K_M": 5.439, "Q5_K_S": 5.309,
    "Q4_K_M": 4.677, "Q4_K_S": 4.452, "Q3_K_L": 4.083, "Q3_K_M": 3.802, "Q3_K_S": 3.486,
    "Q2_K": 3.010, "Q2_K_S": 2.828, "Q4_0": 4.425, "Q4_1": 4.867, "Q5_0": 5.309, "Q5_1": 5.751,
    "IQ4_NL": 4.457, "IQ4_XS": 4.244, "IQ3_M": 3.568, "IQ3_S": 3.493, "IQ3_XS": 3.340,
    "IQ3_XXS": 3.225, "IQ2_M": 2.774, "IQ2_S": 2.590, "IQ2_XS": 2.463, "IQ2_XXS": 2.267,
    "IQ1_M": 2.036, "IQ1_S": 1.898, "TQ2_0": 2.437, "TQ1_0": 2.131,
}
@pytest.mark.parametrize("method", pajamas.NEED_MATRIX)
def test_what_needs_a_matrix_is_refused_without_one(tmp_path, method):
    done = pajamas.quantize(pajamas.TINY, "gguf", method, tmp_path / "x.gguf", check=False)
    assert done.returncode == 2 and done.stderr.count("error:") == 1
    assert "needs an importance matrix" in done.stderr
    assert f"llama-pajamas imatrix {pajamas.TINY} --text FILE --output matrix.gguf" in done.stderr
    assert not list(tmp_path.iterdir())


QWEN_7B = dict(hidden_size=3584, num_attention_heads=28, num_key_value_heads=4,
               num_hidden_layers=28, intermediate_size=18944, vocab_size=152064,
               max_position_embeddings=32768, bos_token_id=151643, eos_token_id=151645)


@pytest.fixture(scope="session")
def qwen_7b(scratch):
    path = scratch / "qwen2.5-7b" / "config.json"
    path.parent.mkdir()
    config = json.loads((pajamas.TINY / "config.json").read_text())
    path.write_text(json.dumps(config | QWEN_7B))
    return path


@pytest.mark.parametrize("method", METHODS)
def test_plan_of_the_full_size_from_its_config_alone(qwen_7b, their_types, method):
    """The rules see names, layers and head ratio: the small model of 28 layers has the types."""
    done = pajamas.run_json("plan", "--config", qwen_7b, "--format", "gguf", "--method", method,
                            "--json")
    output = done["outputs"][0]
    types = their_types("deep", method)
    assert planned_types(output) == types
    total = 0
    for tensor in output["tensors"]:
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[types[tensor["name"]]]]
        assert tensor["bytes"] == int(np.prod(tensor["shape"])) // block * size, tensor["name"]
        total += tensor["bytes"]
    assert output["tensor_bytes"] == total
    if method in PUBLISHED_GB:
        assert round(total / 1e9, 3) == PUBLISHED_GB[method]
    assert done["peak_memory_bytes"] < 1 << 30


@pytest.mark.parametrize("method", ["Q4_K_M", "F16"])
def test_plan_keeps_its_word(models, method):
    planned = pajamas.plan(pajamas.TINY, "gguf", method)["outputs"][0]
    path = models.gguf(method)
    assert path.stat().st_size == planned["file_bytes"]
    tensors = gguf.GGUFReader(path).tensors
    assert {t.name: int(t.n_bytes) for t in tensors} == {t["name"]: t["bytes"]
                                                         for t in planned["tensors"]}


@pytest.mark.parametrize("method", METHODS)
def test_llama_loads_and_tokenizes_alike(models, tokenizer, method):
    path = models.gguf(method)
    with peers.llama_model(path, vocab_only=True) as model:
        for special in (False, True):
            flags = ["--special"] if special else []
            theirs = peers.llama_tokenize(model, NASTY.replace("\x00", ""), special)
            assert pajamas.tokenize(path, NASTY.replace("\x00", ""), *flags) == theirs
    assert pajamas.tokenize(path, NASTY.replace("\x00", ""), "--special") == tokenizer.encode(
        NASTY.replace("\x00", ""), add_special_tokens=False).ids


def our_logits(path, text, scratch):
    return pajamas.logits(path, text, 256, VOCAB, scratch)


def test_float32_logits(models, scratch, short_text, short_chunks):
    path = models.gguf("F32")
    theirs = peers.llama_logits(path, short_chunks)
    ours = our_logits(path, short_text, scratch)
    assert peers.mean_kl(ours, theirs) < 1e-8
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_our_decode_is_that_of_the_gguf_package(models, scratch, method):
    path = models.gguf(method)
    for tensor in gguf.GGUFReader(path).tensors:
        theirs = reference_gguf.decode(tensor).reshape(-1)
        ours = pajamas.tensor_values(path, tensor.name, scratch)
        assert ours.shape == theirs.shape, tensor.name
        block = gguf.GGML_QUANT_SIZES[tensor.tensor_type][0]
        scale = np.abs(theirs.reshape(-1, block)).max(axis=1)
        worst = np.abs(ours.reshape(-1, block) - theirs.reshape(-1, block)).max(axis=1)
        assert (worst <= 1e-6 * scale).all(), tensor.name


@pytest.mark.parametrize("method", METHODS)
def test_unquantized_tensors_are_exact(models, method):
    """Norms and biases lose nothing in any file, weights nothing in F32 and BF16."""
    originals = {reference_gguf.gguf_name(n): a
                 for n, a in reference_gguf.hf_tensors(pajamas.TINY).items()}
    for tensor in gguf.GGUFReader(models.gguf(method)).tensors:
        if tensor.tensor_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.BF16):
            assert np.array_equal(reference_gguf.decode(tensor), originals[tensor.name])


@pytest.mark.parametrize("method", ["F16", "BF16", *QUANTIZED])
def test_both_engines_agree_on_the_decoded_file(models, scratch, short_text, short_chunks, method):
    decoded = scratch / "decoded.gguf"
    reference_gguf.rewrite_as_float(models.gguf(method), decoded)
    theirs = peers.llama_logits(decoded, short_chunks)
    assert peers.mean_kl(our_logits(decoded, short_text, scratch), theirs) < 1e-8


@pytest.mark.parametrize("method", ["F16", "BF16", *QUANTIZED])
def test_both_engines_agree_on_the_quantized_file(models, scratch, short_text, short_chunks,
                                                  method):
    path = models.gguf(method)
    theirs = peers.llama_logits(path, short_chunks)
    assert peers.mean_kl(our_logits(path, short_text, scratch), theirs) < 5e-3


STRICT = ("general.architecture", "general.type", "general.file_type",
          "general.quantization_version", "general.sampling.", "qwen2.", "tokenizer.")
DESCRIPTIVE = {"general.name", "general.basename", "general.finetune", "general.size_label",
               "general.organization", "general.license", "general.languages", "general.tags",
               "general.quantized_by"}


def test_metadata_is_the_converters(models, scratch):
    path = scratch / "metadata.gguf"
    reference_gguf.write(pajamas.TINY, path)
    ours, theirs = (reference_gguf.metadata(p) for p in (models.gguf("F32"), path))

    def strict(fields):
        return {k: v for k, v in fields.items() if k.startswith(STRICT)}

    assert strict(ours).keys() == strict(theirs).keys()
    for key, value in strict(theirs).items():
        assert ours[key] == value, key
    assert ours.keys() - strict(ours).keys() <= DESCRIPTIVE
    assert ours["general.name"][1]
    assert next(iter(ours)) == "general.architecture"


@pytest.mark.parametrize("method", METHODS)
def test_metadata_differs_only_in_the_file_type(models, method):
    ours, base = (reference_gguf.metadata(models.gguf(m)) for m in (method, "F32"))
    assert ours["general.file_type"] == (base["general.file_type"][0], peers.FTYPES[method])
    changed = ("general.file_type", "quantize.imatrix.")
    assert {k: v for k, v in ours.items() if not k.startswith(changed)} == \
        {k: v for k, v in base.items() if not k.startswith(changed)}


def test_unused_ids_and_user_defined_tokens(make_checkpoint, scratch):
    """Padding rows without a token, and added tokens that are not special."""
    folder = make_checkpoint("padded", vocab_size=2112)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    first = max(t["id"] for t in tokenizer["added_tokens"]) + 1
    base = dict(single_word=False, lstrip=False, rstrip=False)
    tokenizer["added_tokens"] += [
        dict(base, id=first, content="<tool_call>", normalized=False, special=False),
        dict(base, id=first + 1, content="<|looks_special|>", normalized=False, special=False)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    ours, theirs = scratch / "padded.gguf", scratch / "padded-reference.gguf"
    pajamas.quantize(folder, "gguf", "Q8_0", ours)
    reference_gguf.write(folder, theirs)
    ours, theirs = reference_gguf.metadata(ours), reference_gguf.metadata(theirs)
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"):
        assert ours[key] == theirs[key], key


def test_tensor_type_overrides_single_tensors(scratch, models):
    path = scratch / "override.gguf"
    pajamas.quantize(pajamas.TINY, "gguf", "Q4_K_M", path, "--tensor-type", "attn_v=q8_0",
                     "--tensor-type", r"blk\.0\.ffn_down=q6_k")
    types, base = file_types(path), file_types(models.gguf("Q4_K_M"))
    for name, dtype in types.items():
        if "attn_v.weight" in name:
            assert dtype == "Q8_0"
        elif name == "blk.0.ffn_down.weight":
            assert dtype == "Q6_K"
        else:  # other layers keep what they had
            assert dtype == base[name], name
    with peers.llama_model(path):
        pass


def test_split_files_run(models, scratch, short_text, short_chunks):
    """A model in two files, as gguf-split writes it."""
    parts = write_split(models.gguf("Q8_0"), scratch / "split-q8")
    whole = our_logits(models.gguf("Q8_0"), short_text, scratch)
    assert np.array_equal(our_logits(parts[0], short_text, scratch), whole)


def write_split(source, stem):
    reader = gguf.GGUFReader(source)
    tensors = list(reader.tensors)
    paths = []
    for number, some in enumerate((tensors[:7], tensors[7:])):
        path = stem.parent / f"{stem.name}-{number + 1:05d}-of-00002.gguf"
        writer = gguf.GGUFWriter(str(path), "qwen2")
        if number == 0:
            for field in reader.fields.values():
                if field.name.startswith("GGUF.") or field.name == "general.architecture":
                    continue
                kind = field.types[0]
                sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), kind, sub)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", len(tensors))
        for tensor in some:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        reference_gguf.finish(writer)
        paths.append(path)
    return paths
