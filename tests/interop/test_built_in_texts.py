"""The built-in texts beside the prose, `--texts`: perplexities made again from stock peers' logits."""

import datetime
import json
import math
import shutil

import jinja2
import jinja2.ext
import jinja2.sandbox
import numpy as np
import pajamas
import peers
import pytest
from tokenizers import Tokenizer

CTX = 256
EVAL = pajamas.ROOT / "models/eval"
DIALOGUES = [json.loads(line) for line in (EVAL / "chat.jsonl").read_text().splitlines()]


def template_of(folder):
    """As transformers renders it, on the first day of 1970."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    path = folder / "chat_template.jinja"
    source = path.read_text() if path.exists() else config["chat_template"]
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.globals["strftime_now"] = datetime.datetime(1970, 1, 1).strftime
    return env.from_string(source)


def passages(folder, ctx):
    """[(ids, numbers of the tokens that end in what the assistant says)] of each dialogue."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    template = template_of(folder)
    out = []
    for dialogue in DIALOGUES:
        text = template.render(messages=dialogue, add_generation_prompt=False)
        coded = tokenizer.encode(text, add_special_tokens=False)
        said, at = [], 0
        for message in dialogue:
            at = text.index(message["content"], at)
            end = at + len(message["content"])
            if message["role"] == "assistant":
                said.append((at, end))
            at = end
        counts = [i for i, (_, end) in enumerate(coded.offsets[:ctx])
                  if any(first < end <= last for first, last in said)]
        out.append((coded.ids[:ctx], counts))
    return out


def scored(folder):
    """(ids, rows that predict, what comes) of all dialogues one after the other."""
    chunks, rows, nexts, at = [], [], [], 0
    for ids, counts in passages(folder, CTX):
        rows += [at + i - 1 for i in counts]
        nexts += [ids[i] for i in counts]
        at += len(ids)
        chunks.append(ids)
    return chunks, np.array(rows), np.array(nexts)


def error(values):
    return values.std() / math.sqrt(len(values) - 1)


def perplexity(logits, rows, nexts):
    nll = -peers.log_softmax(logits[rows])[np.arange(len(rows)), nexts]
    ppl = math.exp(nll.mean())
    return ppl, error(nll) * ppl


def validate(model, *flags):
    return pajamas.run_json("validate", model, "--ctx", CTX, "--json", *flags, timeout=300)


def test_the_chat_is_scored_for_whoever_asks_for_nothing(models):
    """llama.cpp's logits of the same ids."""
    path = models.gguf("F32")
    (ours,) = validate(path, "--chunks", 10)["texts"]
    chunks, rows, nexts = scored(pajamas.TINY)
    ppl, stderr = perplexity(peers.llama_logits(path, chunks), rows, nexts)
    assert (ours["name"], ours["tokens"]) == ("chat", len(rows))
    assert len(rows) > 1000
    assert ours["perplexity"] == pytest.approx(ppl, rel=1e-4)
    assert ours["perplexity_stderr"] == pytest.approx(stderr, rel=1e-4)


def test_harmony_against_the_original(gpt_oss):
    """mlx-lm's logits; KL too."""
    small = gpt_oss.models.mlx("4bit", "--group-size", "32")
    ours = validate(small, "--reference", gpt_oss.source, "--metrics", "kl", "--chunks", 2, "--texts",
                    "chat")["texts"][0]
    parts = passages(gpt_oss.original, CTX)[:2]
    starts = np.cumsum([0] + [len(ids) for ids, _ in parts])
    rows = np.concatenate([start + np.array(counts) - 1
                           for start, (_, counts) in zip(starts, parts)]).astype(int)
    nexts = np.concatenate([np.array(ids)[counts] for ids, counts in parts])
    p, q = (peers.mlx_logits(model, [ids for ids, _ in parts]) for model in (gpt_oss.source, small))
    assert ours["tokens"] == len(rows) > 100
    assert ours["perplexity"] == pytest.approx(perplexity(q, rows, nexts)[0], rel=1e-3)
    assert ours["reference_perplexity"] == pytest.approx(perplexity(p, rows, nexts)[0], rel=1e-3)
    p, q = peers.log_softmax(p[rows]), peers.log_softmax(q[rows])
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    assert ours["kl_mean"] == pytest.approx(kl.mean(), rel=2e-2)
    assert ours["kl_stderr"] == pytest.approx(error(kl), rel=4e-2)
    assert ours["kl_p99"] == pytest.approx(np.quantile(kl, .99), rel=5e-2)
    lost = (p - q)[np.arange(len(rows)), nexts]
    ratio = math.exp(lost.mean())
    assert ours["loss_percent"] == pytest.approx((ratio - 1) * 100, rel=2e-2, abs=.05)
    assert ours["loss_percent_stderr"] == pytest.approx(ratio * error(lost) * 100, rel=2e-2)
    assert ours["loss_counts"] == (abs(lost.mean()) > 1.96 * error(lost))
    same = p.argmax(axis=1) == q.argmax(axis=1)
    assert ours["top1"] == pytest.approx(same.mean(), abs=1.5 / len(rows))
    assert ours["top1_stderr"] == pytest.approx(error(same), rel=.1)


def test_code_and_languages_are_texts_like_any_other():
    both = validate(pajamas.TINY, "--metrics", "perplexity", "--chunks", 4, "--texts",
                    "code,languages")["texts"]
    assert [text["name"] for text in both] == ["code", "languages"]
    for text in both:
        own = validate(pajamas.TINY, "--metrics", "perplexity", "--chunks", 4, "--text",
                       EVAL / f"{text['name']}.txt")
        for key in ("perplexity", "perplexity_stderr", "tokens"):
            assert text[key] == own[key]


def test_the_figures_are_the_same_layer_by_layer():
    flags = ["--metrics", "perplexity", "--chunks", 3, "--texts", "chat"]
    assert (validate(pajamas.TINY, *flags)["texts"]
            == validate(pajamas.TINY, *flags, "--memory-budget", "1GB")["texts"])


def test_a_gate_for_the_chat():
    flags = ["--metrics", "perplexity", "--chunks", 2, "--texts", "chat", "--gate"]
    chat = validate(pajamas.TINY, *flags, "chat_perplexity<1e9,perplexity<1e9")["texts"][0]
    done = pajamas.run("validate", pajamas.TINY, "--ctx", CTX, *flags, "chat_perplexity<2",
                       check=False)
    assert done.returncode == 12 and f"chat_perplexity is {chat['perplexity']:.6g}" in done.stderr


def test_what_is_refused(tmp_path):
    def refused(*flags, model=pajamas.TINY, status=2):
        done = pajamas.run("validate", model, *flags, check=False)
        assert done.returncode == status and done.stdout == "", flags
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    plain = tmp_path / "plain"  # a model that knows no chats
    shutil.copytree(pajamas.TINY, plain)
    config = json.loads((plain / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (plain / "tokenizer_config.json").write_text(json.dumps(config))
    said = refused("--texts", "code,chat", model=plain, status=5)
    assert "no chat template" in said and "leave chat out of --texts" in said
    assert "add --texts chat" in refused("--gate", "chat_perplexity<20")

    assert "did you mean languages?" in refused("--texts", "langauges")
    assert "twice" in refused("--texts", "chat,chat")
    assert "perplexity or kl" in refused("--metrics", "mmlu", "--texts", "chat")
    pajamas.run("validate", pajamas.TINY, "--chunks", "2", "--ctx", "64", "--save-reference",
                tmp_path / "kept")
    assert "own text" in refused("--texts", "code", "--reference", tmp_path / "kept")
