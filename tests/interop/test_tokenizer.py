"""Ids and text against the reference implementation of tokenizers, on 10,000 nasty strings."""

import json
import shutil

import pajamas
import pytest
from nasty_strings import nasty_strings
from tokenizers import Tokenizer

COUNT = 10_000


@pytest.fixture(scope="session")
def strings():
    return nasty_strings(COUNT, 2026)


TINY = {name: pajamas.ROOT / "models" / name
        for name in ("tiny-qwen2", "tiny-qwen3-moe", "tiny-gpt-oss")}
FULL = {"qwen2.5": "full_vocabulary", "gpt-oss": "full_harmony_vocabulary"}


@pytest.fixture(scope="session", params=["tiny-qwen2", "tiny-gpt-oss", *FULL])
def folder(request):
    return TINY.get(request.param) or request.getfixturevalue(FULL[request.param])


@pytest.fixture(scope="session")
def reference(folder):
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encode(reference, strings, special):
    """`special`: whether special tokens that stand in the text are recognised."""
    reference.encode_special_tokens = not special
    out = [e.ids for e in reference.encode_batch(strings, add_special_tokens=False)]
    reference.encode_special_tokens = False
    return out


def assert_same(strings, ours, theirs):
    assert len(ours) == len(theirs)
    wrong = [i for i in range(len(ours)) if ours[i] != theirs[i]]
    if wrong:
        i = wrong[0]
        pytest.fail(f"{len(wrong)} of {len(ours)} differ, first {strings[i]!r}:\n"
                    f"{ours[i]}\n{theirs[i]}")


@pytest.mark.parametrize("special", [True, False], ids=["special", "plain"])
def test_ids(folder, reference, strings, scratch, special):
    ours = pajamas.tokenize_many(folder, strings, scratch, *(["--special"] if special else []))
    assert_same(strings, ours, encode(reference, strings, special))


def test_decoded_text(folder, reference, strings, scratch):
    """The text comes back, normalized."""
    ids = encode(reference, strings, True)
    path = scratch / "ids.jsonl"
    path.write_text("".join(json.dumps(i) + "\n" for i in ids))
    lines = pajamas.run("tokenize", folder, "--jsonl", path, "--decode", "--special").stdout
    ours = [json.loads(line) for line in lines.split("\n") if line]
    theirs = strings
    if reference.normalizer is not None:
        theirs = [reference.normalizer.normalize_str(s) for s in strings]
    assert_same(strings, ours, theirs)


def test_a_lone_tokenizer_and_a_folder_with_nothing_else(tmp_path, tokenizer):
    text = "One 2 three, <|im_end|> naïve"
    want = tokenizer.encode(text, add_special_tokens=False).ids
    shutil.copy(pajamas.TINY / "tokenizer.json", tmp_path / "tokenizer.json")
    assert pajamas.tokenize(tmp_path, text, "--special") == want
    shutil.copy(pajamas.TINY / "tokenizer.json", tmp_path / "other-name.json")
    assert pajamas.tokenize(tmp_path / "other-name.json", text, "--special") == want


def test_a_file_is_one_text(tmp_path, tokenizer):
    path = tmp_path / "text.txt"
    text = pajamas.HELDOUT.read_text()[:5000] + "\r\n\n  end \n"
    path.write_bytes(text.encode())
    ours = json.loads(pajamas.run("tokenize", pajamas.TINY, "--file", path).stdout)
    assert ours == tokenizer.encode(text, add_special_tokens=False).ids


def test_nothing_is_added_in_front(make_checkpoint, tokenizer):
    """Not even where the configuration asks for it."""
    folder = make_checkpoint("adds-bos")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(
        config | {"add_bos_token": True, "bos_token": "<|endoftext|>"}))
    assert pajamas.tokenize(folder, "Hello") == tokenizer.encode("Hello").ids


@pytest.mark.parametrize("form", ["gguf", "mlx"])
def test_quantized_models_tokenize_alike(models, strings, tokenizer, scratch, form):
    model = models.gguf("Q8_0") if form == "gguf" else models.mlx("8bit")
    some = strings[:1000]
    ours = pajamas.tokenize_many(model, some, scratch, "--special")
    assert_same(some, ours, encode(tokenizer, some, True))


# Geometry of a model with next to no weights, and the end of text of each full vocabulary.
SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2,
         "num_key_value_heads": 1, "num_hidden_layers": 1}
IDS = {"qwen2.5": {"vocab_size": 152064, "bos_token_id": 151643, "eos_token_id": 151645},
       "gpt-oss": {"vocab_size": 201088, "bos_token_id": 199998, "eos_token_id": 200002}}


@pytest.fixture(scope="session", params=FULL)
def full(request, make_checkpoint, scratch):
    """(folder with the published tokenizer, GGUF of ours that holds it, name of its pattern)"""
    published = request.getfixturevalue(FULL[request.param])
    folder = make_checkpoint(f"full-{request.param}", "--tokenizer", published, **SMALL,
                             **IDS[request.param])
    path = scratch / f"full-{request.param}.gguf"
    pajamas.quantize(folder, "gguf", "Q4_0", path)
    return published, path, {"qwen2.5": "qwen2", "gpt-oss": "gpt-4o"}[request.param]


def test_the_full_vocabulary_through_gguf(full, strings, scratch):
    """Merges, token types and pattern survive the way through a file of ours."""
    published, path, pattern = full
    assert pajamas.run_json("inspect", path, "--json")["tokenizer"]["pre_tokenizer"] == pattern
    some = strings[:2000]
    reference = Tokenizer.from_file(str(published / "tokenizer.json"))
    ours = pajamas.tokenize_many(path, some, scratch, "--special")
    assert_same(some, ours, encode(reference, some, True))


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def test_llama_3s_pattern_through_gguf(make_checkpoint, strings, scratch, tmp_path):
    content = json.loads((pajamas.TINY / "tokenizer.json").read_text())
    content["normalizer"] = None
    content["model"]["ignore_merges"] = True
    content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = LLAMA3
    # Words that no merge makes: the flag decides what becomes of them.
    content["model"]["vocab"] |= {"\u0120UPPER": 2016, "UPPER": 2017}
    for token in content["added_tokens"]:
        token["id"] += 2
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    folder = make_checkpoint("llama-3", "--tokenizer", tmp_path, bos_token_id=2018,
                             eos_token_id=2020)
    path = scratch / "llama-3.gguf"
    pajamas.quantize(folder, "gguf", "Q8_0", path)
    assert pajamas.run_json("inspect", path, "--json")["tokenizer"]["pre_tokenizer"] == "llama-bpe"
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    want = encode(reference, strings, True)
    assert_same(strings, pajamas.tokenize_many(path, strings, scratch, "--special"), want)


def exported(model, folder):
    pajamas.run("tokenize", model, "--export", folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def assert_written_alike(original, written, folder, strings, scratch):
    """The written files mean what the original ones do, to the reference library and to us."""
    for special in (True, False):
        want = encode(original, strings, special)
        assert_same(strings, encode(written, strings, special), want)
        flags = ["--special"] if special else []
        assert_same(strings, pajamas.tokenize_many(folder, strings, scratch, *flags), want)
    ids = encode(original, strings, True)
    assert (written.decode_batch(ids, skip_special_tokens=False)
            == original.decode_batch(ids, skip_special_tokens=False))
    assert written.get_added_tokens_decoder().keys() == original.get_added_tokens_decoder().keys()
    assert written.get_vocab() == original.get_vocab()


@pytest.mark.parametrize("name", TINY)
def test_written_files(name, strings, scratch, tmp_path):
    original = Tokenizer.from_file(str(TINY[name] / "tokenizer.json"))
    written = exported(TINY[name], tmp_path / "out")
    assert_written_alike(original, written, tmp_path / "out", strings[:3000], scratch)


def test_written_files_of_gguf(full, strings, scratch, tmp_path):
    published, path, _ = full
    content = json.loads((published / "tokenizer.json").read_text())
    for token in content["added_tokens"]:  # GGUF's converter makes these special
        token["special"] |= token["content"].startswith("<|") and token["content"].endswith("|>")
    original = Tokenizer.from_str(json.dumps(content))
    written = exported(path, tmp_path / "out")
    assert_written_alike(original, written, tmp_path / "out", strings[:3000], scratch)


def test_written_files_where_added_tokens_do_not_follow_the_vocabulary(scratch, strings, tmp_path):
    """The reference library counts ids of added tokens itself; holes and odd orders must stay."""
    content = json.loads((pajamas.TINY / "tokenizer.json").read_text())
    content["model"]["ignore_merges"] = True
    for token in content["added_tokens"]:
        content["model"]["vocab"][token["content"]] = token["id"] = token["id"] + 7
    content["model"]["vocab"]["zzzz"] = 2030
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    original = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert original.token_to_id("<|im_end|>") == 2025
    written = exported(tmp_path, tmp_path / "out")
    assert_written_alike(original, written, tmp_path / "out", strings[:1000], scratch)


def test_stock_library_loads_the_written_folder(models, tmp_path):
    """transformers, as mlx-lm calls it: template, special tokens and ends."""
    transformers = pytest.importorskip("transformers")
    exported(models.gguf("Q8_0"), tmp_path / "out")
    ours = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(pajamas.TINY)
    talk = [{"role": "user", "content": "Hello <|im_end|>"}]
    for flags in ({"tokenize": False}, {}):
        assert (ours.apply_chat_template(talk, add_generation_prompt=True, **flags)
                == theirs.apply_chat_template(talk, add_generation_prompt=True, **flags))
    assert ours.eos_token_id == theirs.eos_token_id
    generation = json.loads((tmp_path / "out/generation_config.json").read_text())
    source = json.loads((pajamas.TINY / "generation_config.json").read_text())
    assert generation["eos_token_id"] == source["eos_token_id"]
    for key in ("temperature", "top_k", "top_p", "do_sample", "bos_token_id", "pad_token_id"):
        assert generation[key] == source[key], key


def stops(model):
    return pajamas.run_json("inspect", model, "--json")["tokenizer"]["stop_token_ids"]


def test_stop_tokens_survive(models, make_checkpoint, scratch, tmp_path):
    """From GGUF alone, generation ends where generation_config.json says, and nowhere else."""
    want = sorted(json.loads((pajamas.TINY / "generation_config.json").read_text())["eos_token_id"])
    assert stops(pajamas.TINY) == stops(models.gguf("Q8_0")) == want
    # An end that has no well-known text.
    folder = make_checkpoint("ends")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2018, 2017, 5]}))
    path = scratch / "ends.gguf"
    pajamas.quantize(folder, "gguf", "Q8_0", path)
    assert stops(path) == sorted({5, *stops(folder), 2016})


def test_stop_tokens_of_harmony(make_checkpoint, scratch):
    source = TINY["tiny-gpt-oss"]
    want = sorted(json.loads((source / "generation_config.json").read_text())["eos_token_id"])
    folder = make_checkpoint("harmony-ends", "--tokenizer", source, vocab_size=2048,
                             bos_token_id=2016, eos_token_id=2018)
    for name in ("generation_config.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, folder)
    path = scratch / "harmony-ends.gguf"
    pajamas.quantize(folder, "gguf", "Q8_0", path)
    assert stops(folder) == stops(path) == want
    # The first releases did not name the call.
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2018, 2017]}))
    assert stops(folder) == want
