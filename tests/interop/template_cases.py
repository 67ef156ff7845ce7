#!/usr/bin/env python3
"""Chat template cases and their rendering by jinja2, set up as transformers does it.

`template_cases.py > ../text/data/templates/cases.json` writes what tests/text/chat_template_test.cpp
compares with: an array of {template | file, context, out} or, where jinja2 raises, {..., error}.
The three published templates are files of that folder. Needs jinja2 3.1.6.
"""
import copy
import datetime
import json
import pathlib
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
                "any": {"oneOf": [{"type": "object"}, {"type": "string"}], "default": 1.5},
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
OPTIONS = [
    {},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True, "reasoning_effort": "high"},
    {"add_generation_prompt": True, "builtin_tools": ["browser", "python"],
     "model_identity": "You are Pajama.", "tools": TOOLS[1:]},
]


def published():
    for path in sorted(DATA.glob("*.jinja")):
        for talk in TALKS:
            for options in OPTIONS:
                if "tools" in options and talk not in (TALKS[1], TALKS[5]):
                    continue  # the tools take most of the room
                yield {"file": path.name, "context": {"messages": talk, **options}}


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
