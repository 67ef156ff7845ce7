"""What `validate` keeps of a reference and makes of it, against numpy on the stock peers' logits."""

import json
import math

import kept_reference
import numpy as np
import pajamas
import peers
import pytest

CTX = 256
VOCAB = 2048


def validate(model, *flags, check=True):
    metrics = ["--metrics", "perplexity,kl"] if "--reference" in flags else []
    return pajamas.run("validate", model, "--json", *metrics, *flags, check=check, timeout=300)


def figures(*args):
    return json.loads(validate(*args).stdout)


def scored(chunks):
    return np.concatenate([np.arange(i * CTX + CTX // 2, (i + 1) * CTX - 1) for i in range(chunks)])


class Expected:
    """Every figure of a comparison, from two models' logits of every position."""

    def __init__(self, base, theirs, chunks):
        rows, ids = scored(len(chunks)), np.concatenate(chunks)
        self.p, q = peers.log_softmax(base[rows]), peers.log_softmax(theirs[rows])
        at = np.arange(len(rows)), ids[rows + 1]
        self.kl = (np.exp(self.p) * (self.p - q)).sum(axis=1)
        self.difference = self.p[at] - q[at]
        self.nll = -q[at]
        self.same = self.p.argmax(axis=1) == q.argmax(axis=1)

    def error(self, values):
        return values.std() / math.sqrt(len(values) - 1)

    def check(self, ours, kl_slack=0.0):
        ratio = math.exp(self.difference.mean())
        n = len(self.kl)
        assert ours["tokens"] == n
        assert ours["perplexity"] == pytest.approx(math.exp(self.nll.mean()), rel=1e-4)
        assert ours["loss_percent"] == pytest.approx((ratio - 1) * 100, rel=1e-2, abs=2e-3)
        assert ours["loss_percent_stderr"] == pytest.approx(
            ratio * self.error(self.difference) * 100, rel=1e-2)
        assert ours["loss_counts"] == (
            abs(self.difference.mean()) > 1.96 * self.error(self.difference))
        assert ours["kl_mean"] == pytest.approx(self.kl.mean(), rel=5e-3, abs=kl_slack)
        assert ours["top1"] == pytest.approx(self.same.mean(), abs=1.5 / n)
        assert ours["top1_stderr"] == pytest.approx(self.error(self.same), rel=.1)
        per = CTX - 1 - CTX // 2
        where = np.arange(n) % per + CTX // 2
        for band in ours["positions"]:
            inside = (where >= band["first"]) & (where <= band["last"])
            assert band["perplexity"] == pytest.approx(math.exp(self.nll[inside].mean()), rel=1e-3)
            assert band["loss_percent"] == pytest.approx(
                (math.exp(self.difference[inside].mean()) - 1) * 100, rel=2e-2, abs=1e-2)
            assert band["kl_mean"] == pytest.approx(self.kl[inside].mean(), rel=2e-2,
                                                    abs=4 * kl_slack)
            assert band["top1"] == pytest.approx(self.same[inside].mean(), abs=1.5 / inside.sum())
        assert [ours["positions"][0]["first"], ours["positions"][-1]["last"]] == [CTX // 2, CTX - 2]
        return ours


@pytest.fixture(scope="module")
def quantized(models):
    return models.mlx("4bit")


@pytest.fixture(scope="module")
def expected(quantized, short_chunks):
    base = peers.mlx_logits(pajamas.TINY, short_chunks)
    result = Expected(base, peers.mlx_logits(quantized, short_chunks), short_chunks)
    result.base = base
    return result


@pytest.fixture(scope="module")
def compact(scratch, short_text):
    path = scratch / "tiny.ref"
    validate(pajamas.TINY, "--text", short_text, "--ctx", CTX, "--save-reference", path)
    return path


@pytest.fixture(scope="module")
def theirs(scratch, expected, short_chunks):
    path = scratch / "theirs.bin"
    kept_reference.write(path, CTX, VOCAB, short_chunks, expected.base)
    return path


def test_every_figure_of_two_models(quantized, expected, short_text):
    ours = expected.check(figures(quantized, "--text", short_text, "--ctx", CTX, "--reference",
                                  pajamas.TINY), kl_slack=2e-4)
    for share, value in ours["kl_percentiles"].items():
        want = np.quantile(expected.kl, float(share) / 100)
        assert value == pytest.approx(want, rel=5e-2, abs=1e-3), share


def test_the_compact_reference_is_small_and_its_kl_is_within_the_error_it_states(
        quantized, expected, compact, short_text):
    positions = len(expected.kl)
    assert compact.stat().st_size < 0.01 * positions * VOCAB * 4
    whole = figures(quantized, "--text", short_text, "--ctx", CTX, "--reference", pajamas.TINY)
    ours = figures(quantized, "--reference", compact)
    assert 0 < ours["kl_error"] < 0.05 * whole["kl_mean"]
    assert abs(ours["kl_mean"] - whole["kl_mean"]) < 3 * ours["kl_error"]
    expected.check(ours, kl_slack=3 * ours["kl_error"] + 2e-4)
    for key in ("perplexity", "tokens", "top1", "context"):
        assert ours[key] == whole[key], key
    assert ours["loss_percent"] == pytest.approx(whole["loss_percent"], abs=1e-4)
    assert ours["reference"] == str(compact)


def test_the_reference_of_a_comparison_is_the_one_that_is_kept(
        quantized, compact, scratch, short_text):
    path = scratch / "of-two.ref"
    validate(quantized, "--text", short_text, "--ctx", CTX, "--reference", pajamas.TINY,
             "--save-reference", path)
    assert path.read_bytes() == compact.read_bytes()


def test_llama_cpps_file_is_read(quantized, expected, theirs):
    ours = expected.check(figures(quantized, "--reference", theirs), kl_slack=2e-4)
    assert ours["context"] == CTX and ours["kl_error"] == 0


def test_llama_cpps_file_is_written(expected, scratch, short_text, short_chunks):
    path = scratch / "ours.kld"
    validate(pajamas.TINY, "--text", short_text, "--ctx", CTX, "--save-reference", path)
    ctx, tokens, log_p = kept_reference.read(path)
    assert ctx == CTX and tokens.tolist() == [list(chunk) for chunk in short_chunks]
    clamped = np.maximum(expected.p, expected.p.max(axis=1, keepdims=True) - 16)
    assert np.abs(log_p - clamped).max() < 16 / 65535 / 2 + 1e-4
    named = scratch / "by-option"
    validate(pajamas.TINY, "--text", short_text, "--ctx", CTX, "--save-reference", named,
             "--reference-form", "llama.cpp")
    assert named.read_bytes() == path.read_bytes()


def refusal(*args, status, says):
    done = validate(*args, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    errors = [line for line in lines if line["level"] == "error"]
    assert len(errors) == 1
    text = " ".join(str(v) for v in errors[0].values())
    for word in says:
        assert word in text, text


def test_another_tokenizer_is_named_and_refused(compact, theirs, make_checkpoint, scratch):
    other = make_checkpoint("other-words")
    path = other / "tokenizer.json"
    tokens = json.loads(path.read_text())
    vocab = tokens["model"]["vocab"]
    names = {i: name for name, i in vocab.items()}
    for i in range(0, 250, 2):  # the same size, other meanings
        vocab[names[i]], vocab[names[i + 1]] = i + 1, i
    path.write_text(json.dumps(tokens))
    for reference in (compact, theirs):
        refusal(other, "--reference", reference, status=2,
                says=["tokenizer", reference.name, "other-words"])
    oss = pajamas.TINY_OSS
    if json.loads((oss / "config.json").read_text())["vocab_size"] != VOCAB:
        refusal(oss, "--reference", compact, status=2, says=["tokenizer", "2048"])


def test_bad_references(quantized, compact, theirs, scratch, short_text):
    for whole in (compact, theirs):
        cut = scratch / f"cut-{whole.name}"
        cut.write_bytes(whole.read_bytes()[:-1000])
        refusal(quantized, "--reference", cut, status=4, says=["cut", "1 of 2 chunks", cut.name])
    refusal(quantized, "--reference", compact, "--ctx", 128, status=2, says=["--ctx", "256"])
    other = scratch / "another.txt"
    other.write_text(short_text.read_text()[100:])
    refusal(quantized, "--reference", compact, "--text", other, status=2, says=["another text"])
    refusal(quantized, "--reference", compact, "--save-reference", scratch / "again", status=2,
            says=["--save-reference"])
    refusal(pajamas.TINY, "--save-reference", compact, status=6, says=[compact.name])
    assert not (scratch / "again").exists()


def test_a_text_shorter_than_a_chunk_leaves_no_file(scratch):
    text, path = scratch / "few.txt", scratch / "few.ref"
    text.write_text("Too short.")
    refusal(pajamas.TINY, "--text", text, "--save-reference", path, status=2, says=["tokens"])
    assert not path.exists()


def test_the_setting_text_gives_way_to_the_references(quantized, compact, scratch):
    other = scratch / "setting.txt"
    other.write_text("Something else. " * 500)
    done = pajamas.run("validate", quantized, "--json", "--reference", compact,
                       env={"LLAMA_PAJAMAS_TEXT": str(other)})
    assert json.loads(done.stdout)["reference"] == str(compact)


def test_the_gate_is_the_exit_status(quantized, compact):
    passed = validate(quantized, "--reference", compact, "--gate", "kl<0.5, loss<20%,top1>50%")
    assert json.loads(passed.stdout)["kl_mean"] < 0.5
    broken = validate(quantized, "--reference", compact, "--gate", "kl<0.5,top1>=0.9999,loss<-50%",
                      check=False)
    assert broken.returncode == 12
    assert json.loads(broken.stdout)["kl_mean"] < 0.5  # the figures are there all the same
    said = broken.stderr.splitlines()[-1]
    assert "top1" in said and "loss" in said and "kl is" not in said


@pytest.mark.parametrize("gate", ["speed>3", "kl", "", "mmlu>50%", "loss<0.05"])
def test_a_gate_that_says_nothing_is_refused_before_work(quantized, compact, gate):
    done = validate("/no/such/model", "--reference", compact, "--gate", gate, check=False)
    assert done.returncode == 2 and "--gate" in done.stderr


def test_a_gate_without_the_reference_it_needs(quantized):
    refusal(quantized, "--gate", "kl<0.02", status=2, says=["--reference"])
