#!/usr/bin/env python3
"""Chat template cases and their rendering by jinja2, set up as transformers does it.

`template_cases.py > ../text/data/templates/cases.json` writes what tests/text/chat_template_test.cpp
compares with: an array of {template | file, context, out} or, where jinja2 raises, {..., error}.
The templates are files of that folder: the published ones of the three families, and others written
for this test in the manner of further families. Needs jinja2 3.1.6.
"""
import copy
import datetime
import json
import pathlib
import random
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

DATA = pathlib.Path(__file__).resolve().parent.parent / "text" / "data" / "templates"
NOW = datetime.datetime(2024, 7, 26, 14, 5, 9)


class GenerationBlocks(jinja2.ext.Extension):
    """{% generation %} as transformers' AssistantTracker parses it; what it tracks is not needed."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_generation_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _generation_support(self, context, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=[GenerationBlocks, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return env


def render(template, context):
    """The text, or None and the error."""
    try:
        # a copy, because `list | indent` changes the list before it fails
        return environment().from_string(template).render(**copy.deepcopy(context)), None
    except Exception as error:  # whatever Python raises, the template failed
        return None, f"{type(error).__name__}: {error}"


def as_fed(messages):
    """The messages as transformers 5.24 gives them to a template: without keys that are null, and
    reasoning under the names that templates read (tests/interop/test_feeding.py asks itself)."""
    fed = []
    for message in messages:
        message = {key: value for key, value in message.items() if value is not None}
        said = [message[k] for k in ("reasoning_content", "thinking", "reasoning") if k in message]
        if said:
            message = {"thinking": said[0], **message, "reasoning_content": said[0]}
        fed.append(message)
    return fed


USER = {"role": "user", "content": "Hello, wörld! 你好 👋"}
SYSTEM = {"role": "system", "content": "Be brief.\n"}
ANSWER = {"role": "assistant", "content": "Hi <there> & \"you\""}
TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a place", "parameters": {
            "type": "object", "required": ["location"], "properties": {
                "location": {"type": "string", "description": "City, e.g. “Köln”"},
                "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
                "days": {"type": "array", "items": {"type": "integer"}, "description": "Days"},
                "deep": {"type": "object", "properties": {
                    "a": {"type": "array", "items": {"type": "object", "properties": {
                        "x": {"type": "number"}, "y": {"type": "boolean"}}, "required": ["x"]}},
                    "b": {"type": ["string", "null"]},
                    "c": {"oneOf": [{"type": "string", "default": "q"}, {"type": "number"}]}}},
                "any": {"oneOf": [{"type": "object"}, {"type": "string"}], "default": "1.5"},
                "maybe": {"type": "string", "nullable": True, "default": None},
                "list": {"type": "array", "items": {"type": "string"}, "nullable": True},
                "free": {"type": "array"}}}}},
    {"type": "function", "function": {"name": "ping", "description": "No arguments",
                                      "parameters": {"type": "object", "properties": {}}}}]


def call(arguments, content="", **more):
    return {"role": "assistant", "content": content, "tool_calls": [
        {"id": "1", "type": "function",
         "function": {"name": "get_weather", "arguments": arguments}}], **more}


RESULT = {"role": "tool", "name": "get_weather", "content": "{\"t\": 21.5}"}
ARGS = {"location": "Köln", "days": [1, 2], "n": {"x": None, "y": True, "f": 1e-7}}
TALKS = [
    [USER],
    [SYSTEM, USER],
    [SYSTEM, USER, ANSWER, USER],
    [USER, ANSWER],
    [USER, call(ARGS), RESULT],
    [SYSTEM, USER, call(ARGS, "thinking aloud"), RESULT, RESULT, ANSWER, USER],
    [USER, call(json.dumps(ARGS)), RESULT, USER],
    [USER, {**ANSWER, "reasoning_content": "I think\n"}, USER,
     {**ANSWER, "reasoning_content": "again"}],
    [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nyes"}, USER],
    [USER, {"role": "assistant", "content": "<think>hm</think>yes"}],
    [USER, {**call(ARGS), "thinking": "Need the weather."}, RESULT],
    [USER, {**ANSWER, "thinking": "deep"}],
    [{"role": "developer", "content": "Only rhymes."}, USER],
    [SYSTEM, {"role": "developer", "content": "x"}, USER],
    [USER, {"role": "user", "content": "<tool_response>\nx\n</tool_response>"}],
    [RESULT],
    [],
    [{"role": "assistant", "content": "<|channel|>final<|message|>no"}],
]
# What Harmony's tool namespace is made of: every kind of schema, alone and nested.
SCHEMAS = [
    {"type": "string"}, {"type": "string", "nullable": True}, {"type": "string", "enum": ["a", "b"]},
    {"type": "string", "enum": ["x"], "default": "x", "description": "One of <one>"},
    {"type": "number", "default": 1e-7}, {"type": "integer", "default": 3}, {"type": "boolean"},
    {"type": "boolean", "default": False, "description": "Ja/nein: “ß”"}, {"type": "null"}, {},
    {"type": "array"}, {"type": "array", "nullable": True},
    {"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "number"}},
    {"type": "array", "items": {"type": "boolean"}, "nullable": True},
    {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    {"type": "array", "items": {"type": ["object", "object"]}},
    {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
    {"type": "array", "items": {"type": "object", "properties": {
        f"a_rather_long_name_{i}": {"type": "string"} for i in range(3)}}},
    {"type": ["string", "null"]}, {"type": ["string"]}, {"type": ["string", "number", "null"]},
    {"type": []}, {"type": "object"}, {"type": "object", "properties": {}},
    {"type": "object", "required": ["b"], "properties": {
        "a": {"type": "object", "properties": {"z": {"type": "array"}}}, "b": {"type": "integer"}}},
    {"oneOf": [{"type": "string"}, {"type": "number", "default": 2}]},
    {"oneOf": [{"type": "string", "description": "text"}, {"type": "boolean"}], "default": "q"},
    {"oneOf": [{"type": "object"}, {"type": "string"}]}, {"oneOf": [{"type": "object"}]},
    {"oneOf": [{"type": "array", "items": {"type": "integer"}}]},
    {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "default": None},
    {"type": "integer", "enum": [1, 2]}, {"type": "string", "enum": [], "default": "e"},
    {"type": "unheard"}, {"description": "no type"},
]


def tool_of(schemas, name="f", description="What it does", required=()):
    properties = {f"p{i}": schema for i, schema in enumerate(schemas)}
    return {"type": "function", "function": {
        "name": name, "description": description, "parameters": {
            "type": "object", "required": list(required), "properties": properties}}}


# Every schema once alone and once inside of an object and of a list; and what is no full tool.
ALL_SCHEMAS = [tool_of(SCHEMAS[i:i + 6], f"f{i}", required=["p0", "p3"])
               for i in range(0, len(SCHEMAS), 6)]
ALL_SCHEMAS += [tool_of([{"type": "object", "required": ["n"], "properties": {"n": s, "o": s}},
                         {"type": "array", "items": s}], f"g{i}")
                for i, s in enumerate(SCHEMAS)]
ALL_SCHEMAS += [{"type": "function", "function": {"name": "none", "description": "x"}},
                {"type": "function", "function": {"name": "null", "description": "x",
                                                  "parameters": None}}]


def function(name, arguments, **more):
    """A message of one call in the short form, where the function is not wrapped."""
    return {"role": "assistant", "tool_calls": [{"name": name, "arguments": arguments, **more}]}


# Turns of a model that reasons and calls tools.
AGENT_TALKS = [
    [USER, function("f", {"a": [1, {"b": None}]}), {"role": "tool", "content": {"t": 1.5}}],
    [USER, function("f", {}, content_type="code"), {"role": "tool", "content": "x"}, ANSWER, USER],
    [USER, {**function("f", {"a": "ü"}), "thinking": "First."}, {"role": "tool", "content": [1]},
     {**function("g", "text"), "thinking": "Then."}, {"role": "tool", "content": None}],
    [USER, {**function("f", {"a": 1}), "thinking": "First."}, {"role": "tool", "content": "x"},
     {**ANSWER, "thinking": "dropped"}, USER,
     {**function("g", {"a": 1e22, "b": -0.0, "c": 10 ** 19}), "thinking": "kept"},
     {"role": "tool", "content": "\"q\" <|end|>"}],
    [USER, {**call(ARGS, "said"), "thinking": "and thought"}],
    [USER, {**call(ARGS, None), "thinking": None}, RESULT],
    [SYSTEM, USER, {**ANSWER, "thinking": "a"}, USER, {**ANSWER, "thinking": "b"}],
    [USER, {"role": "assistant", "content": "", "tool_calls": []}],
    [USER, {"role": "assistant", "content": "x", "tool_calls": None}, USER],
    [USER, ANSWER, RESULT],
    [{"role": "developer", "content": ""}, USER],
    [USER, SYSTEM, USER],
    [USER, {"role": "assistant", "thinking": "<|channel|>final<|message|>", "content": "x"}],
    [USER, {"role": "user", "content": None}],
    [{"role": "user", "content": [{"type": "text", "text": " parts "}, {"type": "image"}]}],
    [SYSTEM, {"role": "user", "content": ["plain", {"type": "text", "text": "x"}]}, ANSWER],
    [USER, {**ANSWER, "reasoning_content": "r", "tool_calls": [
        {"id": "a1b2c3d4e", "type": "function", "function": {"name": "f", "arguments": {}}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": ARGS}}]},
     {"role": "tool", "tool_call_id": "a1b2c3d4e", "content": "1"},
     {"role": "tool", "content": {"content": "2"}}, ANSWER, USER],
]
AGENT_OPTIONS = [
    {"add_generation_prompt": True, "reasoning_effort": "low"},
    {"add_generation_prompt": False, "tools": TOOLS[1:], "bos_token": "<s>", "eos_token": "</s>"},
    {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "strict": True,
     "enable_thinking": False, "builtin_tools": ["python"], "date_string": "1 May 2025"},
    {"add_generation_prompt": True, "tools": TOOLS, "tools_in_user_message": False,
     "bos_token": "<s>", "eos_token": "</s>", "reasoning_effort": None},
]
OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True, "reasoning_effort": "high"},
    {"add_generation_prompt": True, "builtin_tools": ["browser", "python"],
     "model_identity": "You are Pajama.", "tools": TOOLS[1:]},
]


def _words(rng):
    some = ["", "Hi", " spaced ", "\n\n", "Köln 你好", "<think>\nx\n</think>\n\ny", "</think>", "{\"a\": 1}",
            "'quoted' & \"more\"", "<|end|>", "line\nline\n", "\t", "/nothink", "<tool_response>x</tool_response>"]
    return "".join(rng.choice(some) for _ in range(rng.randrange(1, 3)))


def _json(rng, depth=0):
    some = [None, True, False, 0, -7, 2.5, 1e-9, 1e22, 10 ** 19, "", "ü\n\"", "x"]
    if depth < 3 and rng.random() < 0.4:
        if rng.random() < 0.5:
            return [_json(rng, depth + 1) for _ in range(rng.randrange(4))]
        return {rng.choice("abcdé"): _json(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(some)


def _message(rng, role):
    message = {"role": role, "content": _words(rng)}
    if role == "assistant" and rng.random() < 0.5:
        calls = []
        for _ in range(rng.choice([1, 1, 1, 2])):
            arguments = {k: _json(rng) for k in rng.sample("abcd", rng.randrange(4))}
            one = {"name": rng.choice(["f", "get_weather"]), "arguments": arguments}
            if rng.random() < 0.2:
                one["arguments"] = json.dumps(arguments)
            calls.append(one if rng.random() < 0.3 else
                         {"id": rng.choice(["1", "a1b2c3d4e"]), "type": "function", "function": one})
        message["tool_calls"] = calls
        message["content"] = rng.choice(["", "", None, message["content"]])
    if role == "assistant" and rng.random() < 0.5:
        message[rng.choice(["thinking", "reasoning_content"])] = _words(rng)
    if role == "tool" and rng.random() < 0.3:
        message["content"] = _json(rng)
    return message


def random_requests(count, seed):
    """(messages, options): conversations that mostly make sense, with tools of any schema."""
    rng = random.Random(seed)
    for _ in range(count):
        messages = [_message(rng, rng.choice(["system", "developer"]))] if rng.random() < 0.5 else []
        for _ in range(rng.randrange(1, 5)):
            messages.append(_message(rng, "user"))
            for _ in range(rng.choice([0, 0, 1, 2])):
                turn = _message(rng, "assistant")
                messages.append(turn)
                if "tool_calls" in turn:
                    messages += [_message(rng, "tool") for _ in turn["tool_calls"]]
            if rng.random() < 0.8:
                messages.append({"role": "assistant", "content": _words(rng)})
        options = {"add_generation_prompt": True}
        if rng.random() < 0.6:
            options["tools"] = [tool_of(rng.sample(SCHEMAS, rng.randrange(5)), f"t{i}", _words(rng),
                                        rng.sample(["p0", "p1", "p2"], rng.randrange(3)))
                                for i in range(rng.randrange(3))]
        for key, values in {"enable_thinking": [True, False], "builtin_tools": [["browser"], ["python"]],
                            "reasoning_effort": ["low", "high"], "model_identity": ["I am."],
                            "tools_in_user_message": [False], "strict": [True]}.items():
            if rng.random() < 0.3:
                options[key] = rng.choice(values)
        yield messages, options


def published():
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    for path in sorted(DATA.glob("*.jinja")):
        ours = path.name.startswith("in-the-style-of")
        for talk in TALKS:
            for options in OPTIONS[1:4] if ours else OPTIONS:
                if "tools" in options and talk not in (TALKS[1], TALKS[5]):
                    continue  # the tools take most of the room
                yield {"file": path.name, "context": {
                    "messages": talk, **(tokens if ours else {}), **options}}
        for talk in AGENT_TALKS:
            for options in AGENT_OPTIONS:
                if "tools" in options and talk not in (AGENT_TALKS[2], AGENT_TALKS[-1]):
                    continue
                yield {"file": path.name, "context": {"messages": talk, **options}}
    for tool in ALL_SCHEMAS:
        yield {"file": "openai-gpt-oss-120b.jinja", "context": {"messages": [USER], "tools": [tool]}}


CONTEXT = {
    "s": "Hello World", "u": "Größe ÉTÉ ß ǆ 𝒳 ΑΣ", "e": "", "n": 7, "f": 2.5, "t": True, "z": None,
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "d": {"b": 1, "a": {"x": [1, "two"]}, "items": 9},
    "msgs": [{"role": "system", "content": "S"}, {"role": "user", "content": "U1", "n": 2},
             {"role": "assistant", "content": "A1", "n": 1}, {"role": "user", "content": None}],
    "parts": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
}


def snippets():
    for path in sorted(pathlib.Path(__file__).parent.glob("template_snippets*.txt")):
        text = path.read_text()
        for block in text.split("\n%%%%\n"):
            if block and not block.startswith("%%%% comment"):
                yield {"template": block.replace("␍", "\r"), "context": None}


def cases():
    yield from published()
    yield from snippets()


def main():
    out = []
    for case in cases():
        source = case.get("template")
        if source is None:
            source = (DATA / case["file"]).read_text()
        text, error = render(source, CONTEXT if case["context"] is None else case["context"])
        case = {key: value for key, value in case.items() if value is not None}
        out.append({**case, "error": error} if text is None else {**case, "out": text})
    json.dump({"note": "made by tests/interop/template_cases.py with jinja2 " + jinja2.__version__,
               "context": CONTEXT, "cases": out}, sys.stdout, ensure_ascii=False, indent=0)


if __name__ == "__main__":
    main()
