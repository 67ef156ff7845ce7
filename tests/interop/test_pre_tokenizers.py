"""What a GGUF says of text in one word, or does not say: pre-tokenizers, BOS and ends of answers, with the
reference library of tokenizers and llama.cpp as judges."""

import copy
import json
import sys

import hostile_gguf
import llama_cpp
import pajamas
import peers
import pytest
from hostile_gguf import ARRAY, STRING
from nasty_strings import nasty_strings
from tokenizers import Tokenizer

sys.path.insert(0, str(pajamas.ROOT / "tests/text/data"))
import pre_tokenizers as published  # noqa: E402

BOOL, UINT32, INT32 = 7, 4, 5
PRE, ADD_BOS, TOKENS = (f"tokenizer.ggml.{key}" for key in ("pre", "add_bos_token", "tokens"))


@pytest.fixture(scope="session")
def strings():
    return [t for t in nasty_strings(4000, 99) if len(t) <= 400][:600]


@pytest.fixture(scope="session")
def trained():
    return published.trained_model()


def vocabulary_gguf(path, model, pre):
    """A GGUF without tensors, as llama.cpp's tests of vocabularies have them."""
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    document = hostile_gguf.Document()
    document.set("general.architecture", "llama", STRING)
    document.set("tokenizer.ggml.model", "gpt2", STRING)
    if pre:
        document.set(PRE, pre, STRING)
    document.set(TOKENS, tokens, ARRAY, STRING)
    document.set("tokenizer.ggml.token_type", [1] * len(tokens), ARRAY, INT32)
    document.set("tokenizer.ggml.merges", [" ".join(m) for m in model["merges"]], ARRAY, STRING)
    hostile_gguf.write(document, path)
    return path


def assert_same(strings, ours, theirs):
    wrong = [i for i in range(len(strings)) if ours[i] != theirs[i]]
    if wrong:
        i = wrong[0]
        pytest.fail(f"{len(wrong)} of {len(strings)} differ, first {strings[i]!r}:\n{ours[i]}\n{theirs[i]}")


@pytest.mark.parametrize("name", published.PUBLISHED)
def test_ids(name, trained, strings, scratch, tmp_path):
    """From the published file, from GGUF's name, and from the file made of that."""
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(published.tokenizer_json(published.PUBLISHED[name], trained)))
    reference = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    want = [e.ids for e in reference.encode_batch(strings)]
    path = vocabulary_gguf(tmp_path / "vocabulary.gguf", trained, name)
    for model in (tmp_path, path):
        assert_same(strings, pajamas.tokenize_many(model, strings, scratch), want)
    pajamas.run("tokenize", path, "--export", tmp_path / "out")
    written = Tokenizer.from_file(str(tmp_path / "out/tokenizer.json"))
    written.encode_special_tokens = True  # the vocabulary has learnt some of their texts
    assert_same(strings, [e.ids for e in written.encode_batch(strings, add_special_tokens=False)], want)


def test_a_pre_tokenizer_that_the_file_does_not_name(trained, strings, scratch, tmp_path):
    some = strings[:200]
    named = vocabulary_gguf(tmp_path / "named.gguf", trained, "smollm")
    want = pajamas.tokenize_many(named, some, scratch)
    for pre in (None, "default"):
        path = vocabulary_gguf(tmp_path / "nameless.gguf", trained, pre)
        answer = pajamas.run("tokenize", path, "--text", "a", check=False)
        assert answer.returncode == 5 and "--pre-tokenizer" in answer.stderr, answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1
        assert pajamas.tokenize_many(path, some, scratch, "--pre-tokenizer", "smollm") == want


@pytest.fixture(scope="session")
def document(models):
    return hostile_gguf.read(models.gguf("F32"))


def changed(document, path, pre=None, add_bos=None, texts={}, types={}):
    """The tiny model's GGUF with another name, key, and texts and types of single tokens."""
    made = copy.copy(document)
    made.pairs = list(document.pairs)
    made.drop(ADD_BOS)
    made.drop(PRE)
    if pre is not None:
        made.set(PRE, pre, STRING)
    if add_bos is not None:
        made.set(ADD_BOS, add_bos, BOOL)
    for key, changes in ((TOKENS, texts), ("tokenizer.ggml.token_type", types)):
        values = list(made.get(key))
        for i, value in changes.items():
            values[i] = value
        made.set(key, values)
    hostile_gguf.write(made, path)
    return path


def what_llama_cpp_does(path):
    """Whether it adds BOS, and the ids on which it stops."""
    with peers.llama_model(path, vocab_only=True) as model:
        vocab = llama_cpp.llama_model_get_vocab(model.model)
        count = llama_cpp.llama_vocab_n_tokens(vocab)
        return (bool(llama_cpp.llama_vocab_get_add_bos(vocab)),
                [i for i in range(count) if llama_cpp.llama_vocab_is_eog(vocab, i)])


def what_we_do(path, *flags):
    found = pajamas.run_json("inspect", path, "--json", *flags)["tokenizer"]
    return found["add_bos"], found["stop_token_ids"]


@pytest.mark.parametrize("pre", ["llama-bpe", "llama3", "llama-v3", "tekken", "falcon3", "pixtral",
                                 "qwen2", "smollm", "gpt-4o", "smaug-bpe", "deepseek-llm", "chatglm-bpe"])
def test_bos_is_decided_as_by_llama_cpp(document, pre, tmp_path):
    for key in (None, True, False):
        path = changed(document, tmp_path / "model.gguf", pre, key)
        assert what_we_do(path) == what_llama_cpp_does(path), key


def test_bos_comes_first_in_every_use(document, tmp_path):
    """What is continued and what is scored begin with it, from GGUF and from the MLX folder made of it."""
    bos = document.get("tokenizer.ggml.bos_token_id")
    path = changed(document, tmp_path / "model.gguf", "llama-bpe")
    pajamas.quantize(path, "mlx", "8bit", tmp_path / "mlx")
    written = Tokenizer.from_file(str(tmp_path / "mlx/tokenizer.json"))
    assert written.encode("Hello").ids[0] == bos
    text = tmp_path / "text.txt"
    text.write_text(pajamas.HELDOUT.read_text()[:2000])

    def perplexity(model):
        return pajamas.run_json("validate", model, "--text", text, "--ctx", 64, "--json")["perplexity"]

    def continued(model):
        return pajamas.run("run", model, "--raw", "--prompt", "The", "--temperature", 0,
                           "--max-tokens", 12).stdout

    said = {key: changed(document, tmp_path / f"{key}.gguf", "llama-bpe", key) for key in (True, False)}
    assert perplexity(path) == perplexity(said[True]) != perplexity(said[False])
    assert continued(path) == continued(said[True])
    assert continued(tmp_path / "mlx") == continued(path)


ENDS = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<|call|>", "<|calls|>", "<|endoftext|>", "<end_of_turn>",
        "<|eom_id|>", "<|end_of_text|>", "<EOT>", "<end_of_utterance>", "<|fim_pad|>", "<|repo_name|>",
        "<|file_sep|>", "<|fim_prefix|>", "<|no_end|>"]


@pytest.mark.parametrize("texts", [ENDS, ["<|end|>", "<|return|>"], ["<|flush|>", "<|return|>"],
                                   ["<|end|>", "<|return|>", "<|call|>"],
                                   ["<|end|>", "<|flush|>", "<|calls|>"]],
                         ids=["many", "end-return", "flush-return", "harmony", "solar"])
def test_ends_are_those_of_llama_cpp(document, texts, tmp_path):
    """Typed as ordinary text, as control, as defined by the user: the same ends and the same tokens."""
    first = 2016 - len(texts)
    # Where <|end|> ends a message only, llama.cpp takes it for a token in plain text too; we do not.
    plain = [] if len(texts) == 3 else [False]
    for kind in (1, 3, 4):
        changes = {2016: "<x>", 2017: "<y>", 2018: "<z>"} | {first + i: t for i, t in enumerate(texts)}
        path = changed(document, tmp_path / "model.gguf", "qwen2", texts=changes,
                       types={first + i: kind for i in range(len(texts))})
        # Merges that made the tokens which these replace would contradict the vocabulary.
        made = hostile_gguf.read(path)
        tokens = set(made.get(TOKENS))
        made.set("tokenizer.ggml.merges", [m for m in made.get("tokenizer.ggml.merges")
                                           if {*m.split(" "), m.replace(" ", "", 1)} <= tokens])
        hostile_gguf.write(made, path)
        assert what_we_do(path) == what_llama_cpp_does(path), kind
        text = "".join(f"one {t} two" for t in texts)
        with peers.llama_model(path, vocab_only=True) as model:
            for special in (True, *plain):
                want = peers.llama_tokenize(model, text, special)
                flags = ["--special"] if special else []
                assert pajamas.tokenize(path, text, *flags) == want, (kind, special)


def test_what_was_asked_for_is_written(document, tmp_path):
    path = changed(document, tmp_path / "nameless.gguf")
    answer = pajamas.run("quantize", path, "--method", "Q8_0", "--output", tmp_path / "no.gguf", check=False)
    assert answer.returncode == 5 and "--pre-tokenizer" in answer.stderr
    assert not (tmp_path / "no.gguf").exists()
    pajamas.quantize(path, "gguf", "Q8_0", tmp_path / "out.gguf", "--pre-tokenizer", "llama-bpe")
    assert hostile_gguf.read(tmp_path / "out.gguf").get(PRE) == "llama-bpe"
    assert what_we_do(tmp_path / "out.gguf") == what_llama_cpp_does(tmp_path / "out.gguf")
    assert what_we_do(path, "--pre-tokenizer", "llama-bpe") == what_we_do(tmp_path / "out.gguf")


def test_a_pattern_without_a_name_gets_the_one_that_is_asked_for(make_checkpoint, tmp_path):
    folder = make_checkpoint("nameless-pattern")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] += "|x"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    answer = pajamas.run("quantize", folder, "--method", "Q8_0", "--output", tmp_path / "no.gguf",
                         check=False)
    assert answer.returncode == 5 and "--pre-tokenizer NAME" in answer.stderr
    pajamas.quantize(folder, "gguf", "Q8_0", tmp_path / "out.gguf", "--pre-tokenizer", "qwen2")
    assert hostile_gguf.read(tmp_path / "out.gguf").get(PRE) == "qwen2"
