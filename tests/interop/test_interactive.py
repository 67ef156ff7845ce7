"""`run --interactive`: in a real terminal, and from a pipe.

The models here are made for it (test_chat.py): what they say is known.
"""

import json
import os
import re
import signal
import stat

import pajamas
import pytest
from terminal import Terminal
from test_chat import QWEN3, ids_of, make_model
from tokenizers import Tokenizer

READY = r"\[\d+% of [\d,]+\] >\Z"  # a prompt with nothing behind it, last on the screen


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """Thinks x, says Y, and ends."""
    tokenizer = Tokenizer.from_file(str(QWEN3 / "tokenizer.json"))
    tokenizer.add_tokens(["<think>", "</think>"])
    chain = ids_of(tokenizer, "\n", "<think>", "x", "</think>", "Y", "<|im_end|>", "z")
    return make_model(tmp_path_factory.mktemp("thinker"), QWEN3, tokenizer, chain)


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """Says YZYZ... without end."""
    tokenizer = Tokenizer.from_file(str(QWEN3 / "tokenizer.json"))
    chain = ids_of(tokenizer, "\n", "Y", "Z", "Y")
    return make_model(tmp_path_factory.mktemp("talker"), QWEN3, tokenizer, chain)


@pytest.fixture
def open_chat(tmp_path):
    """open_chat(model, *flags): a chat in a terminal that is ready for a message."""
    terminals = []

    def start(model, *flags, **options):
        terminal = Terminal(tmp_path, [pajamas.BINARY, "run", model, "--temperature", 0, *flags],
                            **options)
        terminals.append(terminal)
        terminal.wait(READY)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()


def say(chat, text):
    """Types a line and waits for the answer."""
    before = len(re.findall(r"^\[", chat.screen(), re.M))
    chat.type(text)
    chat.wait(r"^\[", before + 1)
    return chat.wait(READY)


def saved(chat, folder):
    """The conversation as the chat writes it."""
    path = folder / "saved.json"
    say(chat, f"/save! {path}")
    return json.loads(path.read_text())["messages"]


def questions(messages):
    return [m["content"] for m in messages if m["role"] == "user"]


# In a terminal


def test_a_message_and_its_answer(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    assert "/help" in chat.screen() and "[0% of 512] >" in chat.screen()
    screen = say(chat, "Who?")
    assert screen.splitlines()[1:6] == ["[0% of 512] > Who?", "[reasoning]", "x", "", "Y"]
    dim = r"\x1b\[2m\[reasoning\]\nx\n+\x1b\[0m[^Y]*Y"
    assert re.search(dim, chat.escapes()), "the reasoning is dim, the answer is not"
    assert re.search(r"^\[[1-9]\d*% of 512\] >\Z", screen, re.M), "the context's fill"
    assert saved(chat, tmp_path) == [{"role": "user", "content": "Who?"},
                                     {"role": "assistant", "content": "Y",
                                      "reasoning_content": "x"}]
    chat.keys("C-d")
    assert chat.status() == 0


def test_without_colours(open_chat, thinker):
    chat = open_chat(thinker, env={"NO_COLOR": "1"})
    say(chat, "Who?")
    assert "\x1b[" not in chat.escapes()


def test_history_and_editing(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    say(chat, "first änd 日本")
    say(chat, "second")
    chat.keys("Up", "Up")
    chat.wait(r"> first änd 日本\Z")
    chat.keys("C-a")
    chat.type("My ", enter=False)
    chat.keys("C-e", "BSpace", "BSpace", "BSpace")
    chat.wait(r"> My first änd\Z")
    chat.keys("Left", "Left", "BSpace")  # the ä
    say(chat, "e")
    chat.keys("Up", "C-u")
    say(chat, "third")
    assert questions(saved(chat, tmp_path)) == ["first änd 日本", "second", "My first end", "third"]
    chat.type("/quit")
    assert chat.status() == 0
    path = tmp_path / ".local/state/llama-pajamas/history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    chat.close()

    again = open_chat(thinker)
    for entry in ("/quit", "/save! .*\\n?.*", "third", "My first end", "second"):
        again.keys("Up")
        again.wait(f"> {entry}\\Z")
    again.keys("Down")
    again.wait(r"> My first end\Z")


def test_history_is_bounded_and_survives_damage(open_chat, thinker, tmp_path):
    path = tmp_path / "state/llama-pajamas/history"
    path.parent.mkdir(parents=True)
    lines = [json.dumps(f"old {i}") for i in range(2500)]
    path.write_text("\n".join(lines) + "\nno JSON\n3\n\n\"last\"\n")
    chat = open_chat(thinker, env={"XDG_STATE_HOME": str(tmp_path / "state")})
    chat.keys("Up")
    chat.wait(r"> last\Z")
    chat.keys("Up")
    chat.wait(r"> old 2499\Z")
    kept = path.read_text().splitlines()
    assert len(kept) == 1000 and kept[0] == json.dumps("old 1501")
    assert os.listdir(path.parent) == ["history"]


def test_a_history_that_cannot_be_written(open_chat, thinker, tmp_path):
    (tmp_path / "file").write_text("")
    chat = open_chat(thinker, env={"XDG_STATE_HOME": str(tmp_path / "file")})
    assert "Y" in say(chat, "Who?").splitlines()
    chat.keys("Up")
    chat.wait(r"> Who\?\Z")


def test_messages_of_several_lines(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    chat.type("one\\")
    chat.wait(r"^\.\.\.\Z")
    say(chat, "two")
    chat.type('"""three')
    chat.wait(r"^\.\.\.\Z")
    chat.type("")
    chat.wait(r"^\.\.\.\n\.\.\.\Z")
    say(chat, 'four"""')
    chat.paste("five\nsix\\\n\tseven\n")
    chat.wait(r"seven\Z")
    say(chat, "!")
    chat.keys("Up")
    chat.wait(r"> five\nsix\\\n +seven!\Z")
    say(chat, "")
    chat.keys("Up", "Up")
    chat.wait(r'> """three\n\nfour"""\Z')
    say(chat, "")
    assert questions(saved(chat, tmp_path)) == [
        "one\ntwo", "three\n\nfour", "five\nsix\\\n\tseven!", "five\nsix\\\n\tseven!",
        "three\n\nfour"]


def test_ctrl_d_ends_a_block_and_not_the_chat(open_chat, thinker):
    chat = open_chat(thinker)
    chat.type('"""one')
    chat.wait(r"^\.\.\.\Z")
    chat.keys("C-d")
    chat.wait(READY)
    chat.keys("C-d")
    assert chat.status() == 0


def test_ctrl_c_stops_the_answer_and_not_the_program(open_chat, talker, tmp_path):
    chat = open_chat(talker, "--ctx", 500000)
    chat.type("Talk")
    chat.wait("YZYZ")
    chat.keys("C-c")
    chat.wait("note: stopped")
    chat.wait(READY)
    messages = saved(chat, tmp_path)
    assert "Ctrl-C again" not in chat.screen(), "it was for the answer alone"
    assert re.fullmatch("(YZ)+Y?", messages[1]["content"]), "what came is kept"
    chat.type("Go on")
    chat.wait("YZYZ.*\n(.*\n)*.*YZYZ")
    chat.keys("C-c", "C-c", "C-c")  # nervous
    chat.wait("note: stopped", 2)
    chat.wait(READY)
    assert questions(saved(chat, tmp_path)) == ["Talk", "Go on"]


def test_ctrl_c_at_the_prompt(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    chat.type("not this", enter=False)
    chat.wait(r"> not this\Z")  # or Ctrl-C takes it out of the terminal before it is read
    chat.keys("C-c")
    chat.wait(r"not this\n.*" + READY)
    chat.type("not\\")
    chat.wait(r"^\.\.\.\Z")
    chat.keys("C-c")
    chat.wait(READY)
    chat.keys("C-c")
    chat.wait(r"Ctrl-C again.*\n" + READY)
    assert "Y" in say(chat, "but this").splitlines()
    assert questions(saved(chat, tmp_path)) == ["but this"]
    chat.keys("C-c")
    chat.wait(r"Ctrl-C again.*\n" + READY)
    chat.keys("C-c")
    assert chat.status() == 0


def test_a_shell_may_have_the_terminal_in_between(tmp_path, thinker):
    shell = Terminal(tmp_path, ["bash", "--norc", "-i"], env={"PS1": "shell: "}, width=200)
    try:
        shell.wait(r"^shell:\Z")
        shell.type(f"{pajamas.BINARY} run {thinker}")
        shell.wait(READY)
        shell.type("before", enter=False)
        shell.wait(r"before\Z")
        shell.keys("C-z")
        shell.wait(r"^shell:\Z")
        shell.type("fg")
        shell.wait(r"^\[0% of 512\] > before\Z", 1)
        shell.type("XX", enter=False)
        shell.wait(r"> beforeXX\Z")
        shell.keys("Left", "BSpace")
        shell.wait(r"> beforeX\Z")
        assert "Y" in say(shell, "!").splitlines()
        assert questions(saved(shell, tmp_path)) == ["before!X"]
    finally:
        shell.close()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_leave_orderly(open_chat, talker, name):
    chat = open_chat(talker, "--ctx", 500000)
    os.kill(chat.pid(), getattr(signal, name))
    assert chat.status() == 128 + getattr(signal, name)
    chat.close()
    chat = open_chat(talker, "--ctx", 500000)
    chat.type("Talk")
    chat.wait("YZYZ")
    os.kill(chat.pid(), getattr(signal, name))
    assert chat.status() == 128 + getattr(signal, name)


def test_commands(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--system", "Be kind.")
    assert "Be kind." in say(chat, "/system")
    say(chat, "/system Be rude.")
    assert "/regenerate" in say(chat, "/help")
    assert "no command /stat;" in say(chat, "/stat") and "did you mean /stats?" in chat.screen()
    assert "no message to answer again" in say(chat, "/regenerate").replace("\n", "")
    say(chat, "//stats and /usr")
    say(chat, "/usr/bin is a message")
    messages = saved(chat, tmp_path)
    assert messages[0] == {"role": "system", "content": "Be rude."}
    assert questions(messages) == ["/stats and /usr", "/usr/bin is a message"]
    assert "only one answer" in say(chat, "/regenerate")
    assert len(saved(chat, tmp_path)) == len(messages)
    path = tmp_path / "a chat.json"
    say(chat, f"/save {path}")
    first = path.read_bytes()
    say(chat, "/reset")
    assert chat.screen().endswith("[0% of 512] >")
    say(chat, "/system \"\"")
    assert saved(chat, tmp_path) == []
    assert "exists already" in say(chat, f"/save {path}").replace("\n", "")
    assert path.read_bytes() == first
    say(chat, f"/load {path}")
    assert saved(chat, tmp_path) == messages
    path.write_text('{"messages": [{"role": "user"}]}')
    assert 'has no "content"' in say(chat, f"/load {path}").replace("\n", "")
    say(chat, f"/load {tmp_path}/none.json")
    assert saved(chat, tmp_path) == messages, "a conversation survives"
    assert "takes no argument" in say(chat, "/quit now")
    chat.type("/q")
    assert chat.status() == 0


def test_a_full_context_drops_the_oldest_turns(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--ctx", 120, "--system", "Keep me.", width=100)
    for i in range(12):
        say(chat, f"message {i}")
    screen = chat.screen()
    assert "no longer sees the oldest" in screen
    assert "of which the model no longer sees" in say(chat, "/stats")
    long = "far too long " * 60
    screen = say(chat, long).replace("\n", "")
    assert re.search(r"system message take \d+ tokens and the context holds 120", screen)
    chat.keys("Up")  # nothing is lost
    chat.wait(r"too long\Z")
    chat.keys("C-u")
    messages = saved(chat, tmp_path)
    assert questions(messages) == [f"message {i}" for i in range(12)], "files hold all turns"
    assert messages[0]["role"] == "system"


def test_an_answer_may_fill_the_context(open_chat, talker):
    chat = open_chat(talker, "--ctx", 100)
    for _ in range(2):
        assert "the answer was cut off" in say(chat, "Talk").replace("\n", " ")
        assert chat.screen().endswith("[100% of 100] >")
    assert "no longer sees the oldest turn" in chat.screen().replace("\n", " ")


def test_resizing(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    chat.type("before 日本", enter=False)
    chat.wait(r"日本\Z")
    chat.resize(40, 12)
    chat.type(" and behind, longer than the window is wide", enter=False)
    chat.wait("wide\\Z")
    chat.resize(100, 30)
    say(chat, "!")
    assert questions(saved(chat, tmp_path)) == [
        "before 日本 and behind, longer than the window is wide!"]


def test_the_first_message_may_be_an_argument(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "-i", "--prompt", "//Hello")
    assert "> //Hello" in chat.screen() and "Y" in chat.screen().splitlines()
    assert questions(saved(chat, tmp_path)) == ["//Hello"], "as it is"


# From a pipe


def piped(model, text, *flags, **options):
    """The text is what stdin holds."""
    read, write = os.pipe()
    os.write(write, text if isinstance(text, bytes) else text.encode())
    os.close(write)
    with os.fdopen(read) as stdin:
        return pajamas.run("run", model, "--interactive", *flags, stdin=stdin, **options)


def test_answers_to_standard_output(thinker):
    done = piped(thinker, "Who?\n\nWhy?\r\n/help\n/stats\nlast without line end")
    assert done.stdout == "Y\n" * 3
    assert "/regenerate" in done.stderr and "last answer:" in done.stderr
    assert " >" not in done.stderr.replace(" > ", " >").splitlines()[0]


def test_a_pipe_without_the_flag_is_one_prompt(thinker, tmp_path):
    path = tmp_path / "prompt"
    path.write_text("/quit\nis a prompt\n")
    with path.open() as stdin:
        done = pajamas.run("run", thinker, stdin=stdin)
    assert done.stdout == "Y\n" and "end of text" in done.stderr


FORMS = [
    ("plain\n", "plain"),
    ("a\\\nb\\\n\\\nc\n", "a\nb\n\nc"),
    ("ends in one\\\\\n", "ends in one\\"),
    ('"""block"""\n', "block"),
    ('"""\nblock\n"""\n', "block"),
    ('"""one\n\n two \\\n"""  \n', "one\n\n two \\"),
    ('a """ amid\n', 'a """ amid'),
    ("//command\n", "/command"),
    ("// comment\n", "/ comment"),
    ("/* comment */\n", "/* comment */"),
    ('"""/quit"""\n', "/quit"),
    ("/quit\\\nnot\n", "/quit\nnot"),
]


def test_forms_of_messages(thinker, tmp_path):
    path = tmp_path / "chat.json"
    piped(thinker, "".join(form for form, _ in FORMS) + f"/save {path}\n", "--ctx", 4096)
    assert questions(json.loads(path.read_text())["messages"]) == [m for _, m in FORMS]
    piped(thinker, f'/system """\nBe\nkind."""\nx\n/save! {path}\n')
    assert json.loads(path.read_text())["messages"][0]["content"] == "Be\nkind."


@pytest.mark.parametrize("text, status, problem", [
    ("/nothing\nWho?\n", 2, "no command /nothing"),
    ("/load /nowhere\nWho?\n", 3, "/nowhere"),
    ("/save\n", 2, "/save needs a file"),
    ('"""open\nWho?\n', 2, "has no end"),
    (b"\xff\n", 2, "not UTF-8"),
    ("word " * 600 + "\n", 2, "the context holds 512"),
])
def test_the_first_error_ends_a_script(thinker, text, status, problem):
    done = piped(thinker, text, check=False)
    assert done.returncode == status and problem in done.stderr
    assert done.stdout == ""


def test_only_new_text_is_read(talker, tmp_path):
    """Without reasoning nothing that was said changes: each turn reads its own message."""
    path = tmp_path / "stats.json"
    lines = "Who are you?\n" + "Talk on\n" * 4
    piped(talker, lines, "--max-tokens", 20, "--stats", path)
    stats = json.loads(path.read_text())
    text = "".join(f"<|im_start|>user\n{line}<|im_end|>\n<|im_start|>assistant\nxx<|im_end|>\n"
                   for line in lines.splitlines())
    new = len(pajamas.tokenize(talker, text, "--special"))
    assert stats["generated_tokens"] == 100
    # The last token of an answer has not been run when the next message comes.
    assert stats["prompt_tokens"] <= new + 5
    assert stats["reused_tokens"] > 2 * stats["prompt_tokens"]


def test_greedy_answers_do_not_depend_on_what_is_reused(tmp_path):
    """The third answer, in a chat and to the same conversation from a file."""
    path = tmp_path / "chat.json"
    flags = ("--temperature", 0, "--max-tokens", 16, "--ctx", 512)
    chat = piped(pajamas.TINY, f"Who?\nWhy?\n/save {path}\nWhen?\n", *flags)
    fresh = piped(pajamas.TINY, f"/load {path}\nWhen?\n", *flags)
    assert chat.stdout.endswith(fresh.stdout) and len(fresh.stdout) > 20


def test_regenerate_draws_anew_and_seeds_repeat():
    flags = ("--temperature", 2, "--top-k", 0, "--top-p", 1, "--min-p", 0, "--max-tokens", 16)
    first = piped(pajamas.TINY, "Who?\n/regenerate\n", *flags, "--seed", 5).stdout
    assert first == piped(pajamas.TINY, "Who?\n/regenerate\n", *flags, "--seed", 5).stdout
    once = pajamas.run("run", pajamas.TINY, "--prompt", "Who?", *flags, "--seed", 5).stdout
    assert first.startswith(once) and first != once + once


def test_raw_is_one_text(tmp_path):
    path = tmp_path / "chat.json"
    done = piped(pajamas.TINY, f"My fellow\nThen\n/save {path}\n", "--raw", "--temperature", 0,
                 "--max-tokens", 8)
    turns = json.loads(path.read_text())["messages"]
    assert done.stdout == "".join(m["content"] + "\n" for m in turns if m["role"] == "assistant")
    text = f"My fellow{turns[1]['content']}\nThen"
    once = pajamas.run("run", pajamas.TINY, "--raw", "--prompt", text, "--temperature", 0,
                       "--max-tokens", 8)
    assert once.stdout == turns[3]["content"] + "\n"
    failed = piped(pajamas.TINY, "/system x\n", "--raw", check=False)
    assert failed.returncode == 5 and "chat template" in failed.stderr


def test_three_families_hold_a_conversation():
    for model in (pajamas.TINY, pajamas.TINY_MOE, pajamas.TINY_OSS):
        done = piped(model, "Who?\nWhy?\n/regenerate\n/reset\nWhen?\n", "--max-tokens", 8,
                     "--system", "Be brief.")
        assert done.stdout.count("\n") >= 4
