"""Which chat template a conversation takes and what the template is given, against stock transformers
(through which mlx-lm does it) and llama.cpp's keys."""

import functools
import json
import shutil

import pajamas
import pytest
import template_cases

transformers = pytest.importorskip("transformers")

USER = {"role": "user", "content": "Hi"}
# Shows all that it is given.
SHOW = ("{% for m in messages %}{{ m | tojson }}\n{% endfor %}{{ tools | tojson }} {{ documents | "
        "tojson }} {{ add_generation_prompt }} {{ bos_token }}, {{ eos_token }}, {{ pad_token }}, "
        "{{ unk_token }}, {{ image_token }}, {{ boi }}, {{ x_token }}")


def named(name):
    return name + " " + SHOW


def listed(*names):
    return [{"name": name, "template": named(name)} for name in names]


def folder_of(path, files):
    """The tokenizer with these files, JSON or text, besides."""
    path.mkdir(exist_ok=True)
    shutil.copy(pajamas.TINY / "tokenizer.json", path)
    for name, content in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def config(**keys):
    return {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"} | keys


# Where templates and special tokens can be said, and what overrules what.
PLACES = {
    "config": {"tokenizer_config.json": config(chat_template=named("config"))},
    "file": {"tokenizer_config.json": config(), "chat_template.jinja": named("file")},
    "file over config": {"tokenizer_config.json": config(chat_template=named("old")),
                         "chat_template.jinja": named("file")},
    "file over empty": {"tokenizer_config.json": config(chat_template=""),
                        "chat_template.jinja": named("file")},
    "file over list": {"tokenizer_config.json": config(chat_template=listed("default", "tool_use")),
                       "chat_template.jinja": named("file")},
    "list": {"tokenizer_config.json": config(chat_template=listed("rag", "default", "tool_use"))},
    "list without default": {"tokenizer_config.json": config(chat_template=listed("rag", "x"))},
    "tools alone": {"tokenizer_config.json": config(chat_template=listed("tool_use"))},
    "folder": {"tokenizer_config.json": config(), "chat_template.jinja": named("file"),
               "additional_chat_templates/tool_use.jinja": named("tools of the folder"),
               "additional_chat_templates/rag.jinja": named("rag of the folder")},
    "folder over config": {"tokenizer_config.json": config(chat_template=named("old")),
                           "additional_chat_templates/tool_use.jinja": named("tool")},
    "map": {"tokenizer_config.json": config(chat_template=named("config"), bos_token="old"),
            "special_tokens_map.json": {"bos_token": {"content": "<|endoftext|>", "lstrip": False,
                                                      "rstrip": False, "normalized": False,
                                                      "single_word": False},
                                        "image_token": "<|im_start|>"}},
    "map unheeded": {"tokenizer_config.json": config(chat_template=named("config"),
                                                     added_tokens_decoder={}),
                     "special_tokens_map.json": {"bos_token": "<|endoftext|>"}},
    "map alone": {"chat_template.jinja": named("file"),
                  "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
                  "special_tokens_map.json": {"eos_token": "<|im_end|>", "bos_token": "<|im_start|>"}},
    "extra": {"tokenizer_config.json": config(chat_template=named("config"), x_token="<|im_end|>",
                                              extra_special_tokens={"image_token": "<|im_start|>",
                                                                    "boi": "<|im_end|>"})},
    "extra list": {"tokenizer_config.json": config(chat_template=named("config"),
                                                   extra_special_tokens=["<|im_start|>"])},
    "extra in the map": {"tokenizer_config.json": config(chat_template=named("config")),
                         "special_tokens_map.json": {
                             "extra_special_tokens": {"boi": "<|im_start|>"}}},
}
TOOLS = [None, [], template_cases.TOOLS[1:]]


@functools.cache
def stock_tokenizer(folder, _state):
    return transformers.AutoTokenizer.from_pretrained(folder)


def stock(folder, messages, tools=None, name=None, **options):
    """(text, error). Transformers before 5.24 leaves it to the caller to drop null."""
    messages = [{k: v for k, v in m.items() if v is not None} for m in messages]
    state = tuple(sorted((p, p.stat().st_mtime_ns) for p in folder.iterdir()))
    tokenizer = stock_tokenizer(folder, state)
    try:
        return tokenizer.apply_chat_template(messages, tools=tools, chat_template=name,
                                             tokenize=False, add_generation_prompt=True,
                                             **options), None
    except Exception as error:  # whatever Python raises
        return None, error


def ours(model, scratch, messages, tools=None, name=None, check=True, **options):
    path = scratch / "chat.json"
    request = {"messages": messages, "options": options} | ({} if tools is None else {"tools": tools})
    path.write_text(json.dumps(request))
    flags = [] if name is None else ["--chat-template", name]
    return pajamas.run("tokenize", model, "--chat", path, "--render", *flags, check=check)


def assert_same(folder, scratch, *args, model=None, **options):
    """`model` is another form of `folder`. Returns the text."""
    want, error = stock(folder, *args, **options)
    done = ours(model or folder, scratch, *args, check=error is None, **options)
    if error is None:
        assert done.stdout == want
    else:
        assert done.returncode == 2 and done.stderr.count("error:") == 1, (error, done.stderr)
    return want


@pytest.mark.parametrize("place", PLACES)
def test_where_templates_are_said(tmp_path, place):
    folder = folder_of(tmp_path / "model", PLACES[place])
    for tools in TOOLS:
        assert_same(folder, tmp_path, [USER], tools)


@pytest.mark.parametrize("place,names", [("list", ["rag", "default", "tool_use"]), ("folder", ["rag"]),
                                         ("list without default", ["rag", "x"])])
def test_templates_by_name(tmp_path, place, names):
    folder = folder_of(tmp_path / "model", PLACES[place])
    for name in names:
        for tools in TOOLS:
            assert name in assert_same(folder, tmp_path, [USER], tools, name)
    done = ours(folder, tmp_path, [USER], name="rog", check=False)
    assert done.returncode == 2 and "rag" in done.stderr, done.stderr


MESSAGES = [
    {"role": "assistant", "content": None, "tool_calls": None, "name": None},
    {"role": "assistant", "content": "", "tool_calls": [], "reasoning_content": None},
    {"role": "assistant", "thinking": "t", "content": "x"},
    {"role": "assistant", "content": "x", "reasoning": "r"},
    {"role": "assistant", "reasoning_content": "c", "content": "x", "thinking": "t"},
    {"reasoning": "r", "thinking": "t"}, {"reasoning": "", "role": "user"},
    {"role": "assistant", "tool_calls": [
        {"type": "function", "function": {"name": "f", "arguments": {"a": None, "ü": [1.5]}}},
        {"type": "function", "function": {"name": "f", "arguments": "{\"a\": null}"}}]},
    {"role": "tool", "content": {"t": None}},
]


def test_what_messages_become(tmp_path):
    folder = folder_of(tmp_path / "model", PLACES["config"])
    for message in MESSAGES:
        assert_same(folder, tmp_path, [USER, message])
    assert_same(folder, tmp_path, [USER, *MESSAGES], bos_token="<s>", documents=[{"text": "x"}])
    published = template_cases.DATA / "openai-gpt-oss-120b.jinja"
    shutil.copy(published, folder / "chat_template.jinja")
    for talk in template_cases.TALKS:
        if talk:  # an empty one is refused before the template
            want, error = stock(folder, talk)
            done = ours(folder, tmp_path, talk, check=error is None)
            assert (done.stdout == want) if error is None else done.returncode


def test_parts_of_text(tmp_path):
    """As the template writes them, where it does; else as mlx-lm's server joins them."""
    parts = [{"type": "text", "text": " a"}, {"type": "text", "text": "b "}]
    knows = ("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
             "{% for p in m.content %}[{{ p.text | trim }}]{% endfor %}{% endif %}{% endfor %}")
    folder = folder_of(tmp_path / "model", {"tokenizer_config.json": config(chat_template=knows)})
    assert assert_same(folder, tmp_path, [USER, {"role": "user", "content": parts}]) == "Hi[a][b]"
    for model in (pajamas.TINY, pajamas.TINY_OSS):
        joined = stock(model, [{"role": "user", "content": " ab "}])[0]
        assert ours(model, tmp_path, [{"role": "user", "content": parts}]).stdout == joined


@pytest.mark.parametrize("place", ["file over config", "list", "list without default", "folder",
                                   "legacy", "file over empty"])
def test_one_pass_keeps_them(tmp_path, place):
    """GGUF and MLX of one pass take the template that the source takes, for every kind of tools."""
    source = tmp_path / "source"
    shutil.copytree(pajamas.TINY, source)
    files = PLACES.get(place) or {"tokenizer_config.json": config(),
                                  "chat_template.json": {"chat_template": named("legacy")}}
    folder_of(source, files)
    out = tmp_path / "out"
    pajamas.run("quantize", source, "--format", "gguf,mlx", "--method", "Q8_0,8bit", "--output", out)
    gguf = next(out.rglob("*.gguf"))
    mlx = next(out.rglob("model.safetensors")).parent
    names = ["rag", "x"] if place == "list without default" else [None]
    again = tmp_path / "again"
    pajamas.quantize(gguf, "mlx", "8bit", again, "--allow-requantize")

    def shown(text):  # without special tokens: GGUF and classes of tokenizers add some
        return text.splitlines()[:1]

    for tools in TOOLS:
        for name in names:
            # Only a processor of transformers reads chat_template.json: the MLX folder is its judge.
            want, error = stock(mlx if place == "legacy" else source, [USER], tools, name)
            for model in (source, gguf, mlx, again):
                done = ours(model, tmp_path, [USER], tools, name, check=error is None)
                assert error or shown(done.stdout) == shown(want), model
                assert not error or done.returncode == 2, model
            for model in (mlx, again):
                assert shown(stock(model, [USER], tools, name)[0] or "") == shown(done.stdout), model


def test_keys_of_gguf(tmp_path):
    """Those that gguf-py writes for the same list."""
    import gguf
    source = tmp_path / "source"
    shutil.copytree(pajamas.TINY, source)
    (source / "tokenizer_config.json").write_text(json.dumps(config(
        chat_template=listed("rag", "default", "tool_use", "with-dash"))))
    pajamas.quantize(source, "gguf", "Q8_0", tmp_path / "out.gguf")
    writer = gguf.GGUFWriter(tmp_path / "keys.gguf", "qwen2")
    writer.add_chat_template(listed("rag", "default", "tool_use", "with-dash"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    def templates(path):
        fields = gguf.GGUFReader(path).fields
        found = {k: f.contents() for k, f in fields.items() if "chat_template" in k}
        found["tokenizer.chat_templates"] = sorted(found["tokenizer.chat_templates"])
        return found
    assert templates(tmp_path / "out.gguf") == templates(tmp_path / "keys.gguf")


def test_run_takes_the_same(tmp_path):
    """A model with several templates: `run` by name, and not without one."""
    source = tmp_path / "source"
    shutil.copytree(pajamas.TINY, source)
    folder_of(source, PLACES["list without default"])
    flags = ["--prompt", "Hi", "--max-tokens", 1, "--temperature", 0, "--stats"]
    refused = pajamas.run("run", source, *flags, tmp_path / "no.json", check=False)
    assert refused.returncode == 2 and "--chat-template: rag, x" in refused.stderr.replace("\n", " ")
    pajamas.run("run", source, *flags, tmp_path / "stats.json", "--chat-template", "rag")
    path = tmp_path / "chat.json"
    path.write_text(json.dumps([USER]))
    ids = pajamas.run_json("tokenize", source, "--chat", path, "--chat-template", "rag")
    assert json.loads((tmp_path / "stats.json").read_text())["prompt_tokens"] == len(ids)
    done = pajamas.run("run", source, *flags, tmp_path / "raw.json", "--raw", "--chat-template", "x")
    assert "--chat-template is ignored" in done.stderr


def test_a_saved_conversation_is_fed_as_before(tmp_path):
    """The tokens of `tokenize --chat` on what /save wrote are those that a chat reads after /load,
    and both are transformers' of the file that was loaded first."""
    tools = template_cases.TOOLS[1:]
    talk = [{"role": "system", "content": ""}, USER,
            {"role": "assistant", "content": None, "tool_calls": [
                {"type": "function", "function": {"name": "ping", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "3"},
            {"role": "assistant", "content": "three", "thinking": "so", "tool_calls": None}]
    first, second, third = (tmp_path / f"{n}.json" for n in ("first", "second", "third"))
    first.write_text(json.dumps({"messages": talk, "tools": tools}))

    def converse(load, save):
        stats = tmp_path / f"{save.stem}-stats.json"
        lines = f"/load {load}\nWhy?\n/save {save}\n"
        path = tmp_path / "lines.txt"
        path.write_text(lines)
        with path.open() as stdin:
            pajamas.run("run", pajamas.TINY, "-i", "--temperature", 0, "--max-tokens", 4, "--ctx",
                        1024, "--stats", stats, stdin=stdin)
        return json.loads(stats.read_text())["prompt_tokens"]

    read = converse(first, second)
    want, error = stock(pajamas.TINY, [*talk, {"role": "user", "content": "Why?"}], tools)
    assert error is None
    assert read == len(pajamas.tokenize(pajamas.TINY, want, "--special"))
    saved = json.loads(second.read_text())
    assert saved["tools"] == tools and saved["messages"][:5] == talk
    # Asked again, the saved conversation is longer by one answer and one question.
    read = converse(second, third)
    saved["messages"].append({"role": "user", "content": "Why?"})
    first.write_text(json.dumps(saved))
    assert read == len(pajamas.run_json("tokenize", pajamas.TINY, "--chat", first))
