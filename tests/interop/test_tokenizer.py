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


@pytest.fixture(scope="session", params=["tiny", "full"])
def folder(request):
    return pajamas.TINY if request.param == "tiny" else request.getfixturevalue("full_vocabulary")


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


def test_the_full_vocabulary_through_gguf(full_vocabulary, make_checkpoint, strings, scratch):
    """Merges, token types and pattern survive the way through a file of ours."""
    folder = make_checkpoint("full-vocabulary", "--tokenizer", full_vocabulary, vocab_size=152064,
                             hidden_size=64, intermediate_size=64, num_attention_heads=2,
                             num_key_value_heads=1, num_hidden_layers=1, bos_token_id=151643,
                             eos_token_id=151645)
    path = scratch / "full-vocabulary.gguf"
    pajamas.quantize(folder, "gguf", "Q4_0", path)
    some = strings[:2000]
    reference = Tokenizer.from_file(str(full_vocabulary / "tokenizer.json"))
    ours = pajamas.tokenize_many(path, some, scratch, "--special")
    assert_same(some, ours, encode(reference, some, True))
