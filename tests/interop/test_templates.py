"""Chat templates through `tokenize --chat` against jinja2, set up as transformers does it."""

import datetime
import json
import shutil

import pajamas
import pytest
import template_cases
from tokenizers import Tokenizer

TEMPLATES = sorted(template_cases.DATA.glob("*.jinja"))
TOKENS = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def reference(template, messages, tools, options):
    """(text, error) with the variables that transformers gives a template."""
    env = template_cases.environment()
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    context = TOKENS | {"messages": template_cases.as_fed(messages), "tools": tools,
                        "documents": None, "add_generation_prompt": True} | options
    try:
        return env.from_string(template).render(**context), None
    except Exception as error:
        return None, error


@pytest.fixture(params=["chat_template.jinja", "tokenizer_config.json"])
def folder(request, tmp_path):
    """A folder with nothing but the tokenizer; the template in one of its two places."""
    shutil.copy(pajamas.TINY / "tokenizer.json", tmp_path)

    def put(template):
        config = dict(TOKENS, add_bos_token=False, bos_token=None)
        if request.param == "tokenizer_config.json":
            config["chat_template"] = template
        else:
            (tmp_path / request.param).write_text(template)
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path

    return put


def chat(folder, request, *flags, check=True):
    path = folder / "chat.json"
    path.write_text(json.dumps(request))
    return pajamas.run("tokenize", folder, "--chat", path, *flags, check=check)


def request_of(messages, options):
    """The file that the command takes, and the same as jinja2 sees it."""
    options = {k: v for k, v in options.items() if k != "add_generation_prompt"}
    tools = options.pop("tools", None)
    request = {"messages": messages, "options": options}
    if tools is not None:
        request["tools"] = tools
    return request, tools, options


def assert_same(place, text, messages, options):
    """Whether jinja2 renders the conversation; ours must do the same or refuse as it does."""
    request, tools, options = request_of(messages, options)
    want, error = reference(text, messages, tools, options)
    done = chat(place, request, "--render", check=error is None)
    if error is None:
        assert done.stdout == want, request
    else:
        assert 0 < done.returncode < 128 and done.stderr.count("error:") == 1, (request, error)
    return error is None


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.stem)
def test_templates(folder, template):
    """The published ones, and others that the program has never seen."""
    text = template.read_text()
    place = folder(text)
    alone = (place / "chat_template.jinja").exists()  # the other place need not show it all again
    options = template_cases.OPTIONS if alone else template_cases.OPTIONS[1:3]
    rendered = sum(assert_same(place, text, messages, choice)
                   for messages in template_cases.TALKS for choice in options)
    assert rendered > 7 * len(options)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda p: p.stem)
def test_random_conversations(tmp_path, template):
    """Calls, results, reasoning and tools with every kind of schema, put together by chance."""
    text = template.read_text()
    shutil.copy(pajamas.TINY / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(TOKENS | {"bos_token": "<s>"}))
    (tmp_path / "chat_template.jinja").write_text(text)
    count = 60
    rendered = 0
    for messages, options in template_cases.random_requests(count, template.stem):
        options = {"bos_token": "<s>"} | options
        rendered += assert_same(tmp_path, text, messages, options)
    assert rendered > count // 6


HARMONY = pajamas.ROOT / "models/tiny-gpt-oss"


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_reasoning_effort_reaches_harmony(tmp_path, level):
    """Text and ids, special tokens included, equal what jinja2 and tokenizers give."""
    template = (HARMONY / "chat_template.jinja").read_text()
    want, error = reference(template, [template_cases.USER], None, {"reasoning_effort": level})
    assert error is None and f"Reasoning: {level}" in want
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({"messages": [template_cases.USER]}))
    flags = ["--chat", path, "--reasoning", level]
    assert pajamas.run("tokenize", HARMONY, *flags, "--render").stdout == want
    ids = Tokenizer.from_file(str(HARMONY / "tokenizer.json")).encode(want).ids
    assert pajamas.run_json("tokenize", HARMONY, *flags) == ids


def test_reasoning_that_a_template_cannot_be_told(folder):
    request = {"messages": [template_cases.USER]}
    templates = pajamas.ROOT / "tests/text/data/templates"
    qwen3 = (templates / "Qwen-Qwen3-0.6B.jinja").read_text()
    off = chat(folder(qwen3), request, "--render", "--reasoning", "off")
    assert off.stdout.endswith("<think>\n\n</think>\n\n") and "note:" not in off.stderr
    low = chat(folder(qwen3), request, "--render", "--reasoning", "low")
    assert low.stdout.endswith("assistant\n") and low.stderr.count("note:") == 1
    qwen2 = (templates / "Qwen-Qwen2.5-7B-Instruct.jinja").read_text()
    none = chat(folder(qwen2), request, "--render", "--reasoning", "high")
    assert none.stderr.count("note:") == 1
    harmony = (templates / "openai-gpt-oss-120b.jinja").read_text()
    refused = chat(folder(harmony), request, "--render", "--reasoning", "off", check=False)
    assert refused.returncode == 5 and "--reasoning low" in refused.stderr


@pytest.mark.parametrize("form", ["original", "gguf", "mlx"])
def test_ids_of_a_conversation(models, tokenizer, tmp_path, form):
    """The template survives in every container, and its special tokens become single ids."""
    model = {"original": lambda: pajamas.TINY, "gguf": lambda: models.gguf("Q8_0"),
             "mlx": lambda: models.mlx("8bit")}[form]()
    template = json.loads((pajamas.TINY / "tokenizer_config.json").read_text())["chat_template"]
    for messages in (template_cases.TALKS[2], template_cases.TALKS[5]):
        for tools in (None, template_cases.TOOLS):
            path = tmp_path / "chat.json"
            path.write_text(json.dumps({"messages": messages, "tools": tools}))
            want, error = reference(template, messages, tools, {})
            assert error is None
            ids = pajamas.run_json("tokenize", model, "--chat", path)
            assert ids == tokenizer.encode(want, add_special_tokens=False).ids
            assert pajamas.run("tokenize", model, "--chat", path, "--render").stdout == want


@pytest.mark.parametrize("construct,name", [("{% frobnicate x %}", "frobnicate"),
                                            ("{{ 'x' | nosuchfilter }}", "nosuchfilter"),
                                            ("{{ x is nosuchtest }}", "nosuchtest"),
                                            ("{{ nosuchfunction(1) }}", "nosuchfunction")])
def test_an_unknown_construct_is_named(folder, construct, name):
    done = chat(folder(construct), {"messages": [template_cases.USER]}, "--render", check=False)
    assert 0 < done.returncode < 128
    assert name in done.stderr and done.stderr.count("error:") == 1


@pytest.mark.parametrize("template", ["{% for i in range(10**9) %}x{% endfor %}",
                                      "{{ 'x' * 10**12 }}", "{% macro m() %}{{ m() }}{% endmacro %}"
                                      "{{ m() }}", "{{ " + "(" * 100_000, "{% if " * 50_000,
                                      "{% set ns = namespace(s='x') %}{% for i in range(60) %}"
                                      "{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
                                      "{{ [1] * 10**11 }}", "{% raise"],
                         ids=["loop", "text", "recursion", "parentheses", "ifs", "doubling",
                              "list", "unfinished"])
def test_hostile_templates(folder, template):
    """Each ends with an error, soon and within a little memory."""
    import resource
    place = folder(template)
    path = place / "chat.json"
    path.write_text(json.dumps({"messages": [template_cases.USER]}))
    done = pajamas.run("tokenize", place, "--chat", path, "--render", check=False, timeout=20,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                             (4 << 30, 4 << 30)))
    assert 0 < done.returncode < 128, done.stderr[-500:]
    assert done.stderr.count("error:") == 1, done.stderr[-500:]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"messages": 5}', '{"messages": [5]}',
                                  '{"messages": [{}]}', '{"messages": [], "options": 5}',
                                  "[" * 100_000, '{"messages": "\\ud800"}', "\xff"])
def test_hostile_conversations(tmp_path, text):
    path = tmp_path / "chat.json"
    path.write_bytes(text.encode("latin-1"))
    done = pajamas.run("tokenize", pajamas.TINY, "--chat", path, "--render", check=False,
                       timeout=20)
    assert done.returncode < 128
    if done.returncode:
        assert done.stderr.count("error:") == 1
    else:  # jinja2 renders an empty message, too
        json.loads(text)
