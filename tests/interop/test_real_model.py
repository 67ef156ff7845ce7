"""SmolLM2-135M-Instruct, a model that was trained for real: answers, templates, what quantizing does.

What is special about it: the registry has it in Q4_1, so its weights lie on a 4-bit grid (groups of 32),
and who quantizes them on the same grid loses nearly nothing; its rows of 576 are no multiple of 256, so
that most tensors of a K-quant fall back; and its chat template knows no tools.
"""

import json

import gguf
import jinja2
import pajamas
import peers
import pytest
import reference_shapes

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
TOOL = {"type": "function", "function": {"name": "now", "description": "The time",
                                         "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def forms(smollm, tmp_path_factory):
    """The original, and a GGUF file and an MLX directory made of it in one pass."""
    out = tmp_path_factory.mktemp("smollm")
    pajamas.quantize(smollm, "gguf,mlx", "Q4_K_M:4bit", out, "--embedding-bits", 6,
                     "--allow-requantize", timeout=300)
    return {"original": smollm, "gguf": out / "gguf/model-q4_k_m.gguf",
            "mlx": out / "mlx/model-4bit"}


def ask(model, question, tokens):
    return pajamas.run("run", model, "--prompt", question, "--temperature", 0, "--max-tokens", tokens,
                       timeout=300)


def test_it_answers_and_ends(smollm):
    done = ask(smollm, QUESTION, 40)
    assert done.stdout == ANSWER + "\n" and "end of text" in done.stderr


@pytest.mark.parametrize("form", ["gguf", "mlx"])
def test_what_is_made_of_it_answers(forms, form):
    """So small a model knows no capitals any more, but what it is asked about."""
    done = ask(forms[form], "What color is the sky?", 16)
    assert done.stdout.startswith("The sky is") and "<|" not in done.stdout


def test_the_stock_reader_sees_the_same(forms, tmp_path):
    text = "The capital of France is Paris, and 1,234 people know it. " * 8
    path = tmp_path / "text"
    path.write_text(text)
    for form in ("original", "gguf"):
        with peers.llama_model(forms[form], vocab_only=True) as model:
            ids = peers.llama_tokenize(model, text, False)[:64]
        ours = pajamas.logits(forms[form], path, 64, 49152, tmp_path)[:64]
        theirs = peers.llama_logits(forms[form], [ids])
        assert peers.mean_kl(ours, theirs) < 0.02, form  # it rounds activations to 8 bits


def test_its_template_and_tokens(smollm, tmp_path):
    """jinja2 renders, llama.cpp tokenizes."""
    field = gguf.GGUFReader(smollm).fields["tokenizer.chat_template"]
    template = bytes(field.parts[field.data[0]]).decode()
    turns = [{"role": "user", "content": "Hallo, wie geht's? 123 日本 👨‍👩‍👧\n\tif x:"},
             {"role": "assistant", "content": " fine"}, {"role": "user", "content": "2024-05-06"}]
    with peers.llama_model(smollm, vocab_only=True) as model:
        for messages in (turns, [{"role": "system", "content": "Be brief."}, *turns]):
            text = jinja2.Environment().from_string(template).render(messages=messages,
                                                                     add_generation_prompt=True)
            path = tmp_path / "chat.json"
            path.write_text(json.dumps({"messages": messages}))
            assert pajamas.run("tokenize", smollm, "--chat", path, "--render").stdout == text
            ids = pajamas.run_json("tokenize", smollm, "--chat", path)
            assert ids == peers.llama_tokenize(model, text, True)


def test_its_template_knows_no_tools(smollm, tmp_path):
    path = tmp_path / "chat.json"
    messages = [{"role": "user", "content": "Hi"}]
    path.write_text(json.dumps({"messages": messages}))
    without = pajamas.run("tokenize", smollm, "--chat", path, "--render")
    path.write_text(json.dumps({"messages": messages, "tools": [TOOL]}))
    given = pajamas.run("tokenize", smollm, "--chat", path, "--render")
    assert given.stdout == without.stdout
    assert "tools are ignored" in given.stderr and "tools" not in without.stderr


def test_a_conversation_and_a_long_answer(smollm, tmp_path):
    stats, chat = tmp_path / "stats.json", tmp_path / "chat.json"
    read = tmp_path / "lines"
    read.write_text(f"{QUESTION}\nTell me a long story about a fox.\n/save {chat}\n")
    with read.open() as stdin:
        done = pajamas.run("run", smollm, "-i", "--temperature", 0, "--max-tokens", 160, "--stats",
                           stats, stdin=stdin, timeout=300)
    first, story = [m["content"] for m in json.loads(chat.read_text())["messages"][1::2]]
    assert first == ANSWER and done.stdout == f"{first}\n{story}\n"
    assert len(story.split()) > 80 and "fox" in story and "<|" not in story
    figures = json.loads(stats.read_text())
    assert figures["reused_tokens"] > 40, "the first turn is not read again"
    assert "cut off after 160 tokens" in done.stderr


def test_rows_that_fit_no_k_quant_fall_back_as_in_llama_cpp(forms, tmp_path):
    log = peers.llama_quantize(forms["original"], tmp_path / "none.gguf", "Q4_K_M",
                               allow_requantize=True, dry_run=True)
    theirs = reference_shapes.types_in_log(log)
    ours = {t.name: t.tensor_type.name for t in gguf.GGUFReader(forms["gguf"]).tensors}
    assert {name: ours[name] for name in theirs} == theirs
    assert ours["blk.0.attn_q.weight"] == "Q5_0" and ours["blk.9.ffn_down.weight"][:3] in ("Q4_", "Q6_")


def test_a_second_loss_is_asked_for(smollm, tmp_path):
    done = pajamas.quantize(smollm, "gguf", "Q4_K_M", tmp_path / "out", check=False)
    assert done.returncode == 2 and "--allow-requantize" in done.stderr


def test_quality(forms, smollm, tmp_path):
    """The grid is groups of 32 in 4 bits: who has the same one loses nearly nothing."""
    pajamas.quantize(smollm, "mlx", "4bit", tmp_path / "same", "--group-size", 32,
                     "--embedding-bits", 8, "--allow-requantize", timeout=300)

    def loss(path):
        score = pajamas.run_json("validate", path, "--metrics", "perplexity,kl", "--reference", smollm,
                                 "--text", pajamas.HELDOUT, "--ctx", 128, "--chunks", 2, "--json",
                                 "--quiet", timeout=300)
        return abs(score["loss_percent"])

    assert loss(forms["gguf"]) < 10
    assert loss(tmp_path / "same") < 3 < loss(forms["mlx"]) < 30
