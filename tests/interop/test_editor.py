"""The chat's input line in a real terminal: what it shows while a message is written, and what the
model is then given."""

import re
import time

import pytest
from terminal import PATIENCE
from test_interactive import READY, open_chat, questions, saved, say, thinker  # noqa: F401

PROMPT = "[0% of 512] > "
SENTENCE = "The quick brown fox jumps over the lazy dog, and on, and on, over many rows of this window"
FAMILY, FLAG, THUMB = "👨‍👩‍👧", "🇩🇪", "👍🏽"


def until(get, expected):
    """Waits until the screen is as expected."""
    end = time.monotonic() + PATIENCE
    while (got := get()) != expected:
        assert time.monotonic() < end, f"{got}\nis not\n{expected}"
        time.sleep(0.05)


def wrapped(text, width):
    """The rows of a text of narrow characters."""
    return [text[i:i + width].rstrip() for i in range(0, len(text), width)]


def prompt_row(chat):
    return max((i for i, row in enumerate(chat.visible()) if row.startswith("[")), default=0)


def cursor(chat):
    """Its column, and its row counted from the prompt's."""
    column, row = chat.cursor()
    return column, row - prompt_row(chat)


def shown(chat):
    """The rows from the last prompt on, without the empty ones at the end."""
    rows = chat.visible()
    while rows and not rows[-1]:
        rows.pop()
    return rows[prompt_row(chat):]


def redrawn(chat, place, width):
    """Waits until the program has seen its new width: the terminal wraps what was there by itself,
    so only the cursor's next move, back from `place` and to it, shows it."""
    for key, at in (("Left", place - 1), ("Right", place)):
        chat.keys(key)
        until(lambda: cursor(chat), (at % width, at // width))


def test_a_message_longer_than_a_row(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, width=40)
    chat.type(SENTENCE, enter=False)
    until(lambda: shown(chat), wrapped(PROMPT + SENTENCE, 40))
    end = chat.cursor()
    assert end[0] == len(PROMPT + SENTENCE) % 40
    chat.keys("C-a")
    until(chat.cursor, (len(PROMPT), end[1] - 2))
    chat.type("Now: ", enter=False)
    text = "Now: " + SENTENCE
    until(lambda: shown(chat), wrapped(PROMPT + text, 40))
    chat.keys("Down")  # to the row below, not to another message
    until(chat.cursor, ((len(PROMPT) + 5) % 40, end[1] - 1))
    chat.type("X", enter=False)
    text = text[:40 + 5] + "X" + text[40 + 5:]
    until(lambda: shown(chat), wrapped(PROMPT + text, 40))
    for _ in range(8):
        chat.keys("C-Right")
    chat.keys("C-w")
    chat.keys("C-e")
    chat.type("!")
    chat.wait(READY)
    [message] = questions(saved(chat, tmp_path))
    assert message.startswith(text[:45]) and message.endswith("!") and len(message) < len(text)


def test_a_message_as_wide_as_the_window(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, width=40)
    chat.type("x" * 26, enter=False)
    until(lambda: shown(chat), [PROMPT + "x" * 26])
    row = chat.cursor()[1]
    assert chat.cursor() == (0, row), "there is a place for the cursor"
    chat.keys("BSpace")
    until(chat.cursor, (39, row - 1))
    chat.type("yz", enter=False)
    until(lambda: shown(chat), [PROMPT + "x" * 25 + "y", "z"])
    chat.keys("C-a", "Delete", "Delete")
    until(lambda: shown(chat), [PROMPT + "x" * 23 + "yz"])
    say(chat, "")
    assert questions(saved(chat, tmp_path)) == ["x" * 23 + "yz"]


@pytest.mark.parametrize("keys", [(), ("C-a", "Right"), ("M-Left",) * 9])
def test_the_window_changes_while_a_message_is_written(open_chat, thinker, tmp_path, keys):
    chat = open_chat(thinker, width=60, height=30)
    say(chat, "/help")
    above = chat.screen().splitlines()[:-1]
    chat.type(SENTENCE, enter=False)
    if keys:
        chat.keys(*keys)
    at = {(): len(SENTENCE), ("C-a", "Right"): 1}.get(keys, SENTENCE.index("on, and on"))
    place = len(PROMPT) + at
    # A key that comes after the window has changed and before the program is told is drawn for the
    # width of before: nobody could know better, so the keys are done with first.
    until(lambda: cursor(chat), (place % 60, place // 60))
    for width in (40, 25, 33, 104, 90, 52, 60):
        chat.resize(width, 30)
        until(lambda: shown(chat), wrapped(PROMPT + SENTENCE, width))
        until(lambda: cursor(chat), (place % width, place // width))
        redrawn(chat, place, width)
    assert chat.screen().splitlines()[:len(above)] == above, "the rest is as it was"
    assert chat.screen().count("The quick") == 1
    chat.keys("C-e")
    say(chat, "!")
    assert questions(saved(chat, tmp_path)) == [SENTENCE + "!"]


def test_a_window_of_few_rows(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, width=30, height=4)
    words = [f"word{i:02d}" for i in range(40)]
    chat.type(" ".join(words), enter=False)
    chat.wait(r"word39\Z")
    rows = wrapped(PROMPT + " ".join(words), 30)
    until(chat.visible, rows[-4:] + [""])
    chat.keys("C-a")
    until(chat.visible, rows[:4] + [""])
    chat.resize(40, 6)
    until(chat.visible, wrapped(PROMPT + " ".join(words), 40)[:6] + [""])
    chat.type("a", enter=False)
    chat.keys("C-e")
    say(chat, "z")
    assert "word00" in chat.screen() and "word25" in chat.screen(), "all of it can be scrolled to"
    assert questions(saved(chat, tmp_path)) == ["a" + " ".join(words) + "z"]


def test_characters_as_they_are_seen(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--ctx", 4096, width=60)
    prompt = "[0% of 4,096] > "
    clusters = ["a", FAMILY, "b", FLAG, "c", THUMB, "d", "e\u0301", "f", "日", "g"]
    columns = [chat.cursor()[0]]  # as this terminal sees them, whatever it takes for their widths
    for i, cluster in enumerate(clusters):
        chat.type(cluster, enter=False)
        until(lambda: shown(chat), [prompt + "".join(clusters[:i + 1])])
        columns.append(chat.cursor()[0])
    row = chat.cursor()[1]
    for column in columns[-2::-1]:  # each by one key
        chat.keys("Left")
        until(chat.cursor, (column, row))
    chat.keys("End")
    for left in (f"a{FAMILY}b{FLAG}c{THUMB}de\u0301f日", f"a{FAMILY}b{FLAG}c{THUMB}de\u0301f",
                 f"a{FAMILY}b{FLAG}c{THUMB}de\u0301", f"a{FAMILY}b{FLAG}c{THUMB}d",
                 f"a{FAMILY}b{FLAG}c{THUMB}", f"a{FAMILY}b{FLAG}c", f"a{FAMILY}b{FLAG}",
                 f"a{FAMILY}b", f"a{FAMILY}", "a"):
        chat.keys("BSpace")
        until(lambda: shown(chat), [prompt + left])
    chat.type(f"{FAMILY}{FLAG}o\u0308", enter=False)
    chat.keys("Left", "Left", "Delete", "Home", "Right")
    say(chat, "-")
    assert questions(saved(chat, tmp_path)) == [f"a-{FAMILY}o\u0308"]


def test_wide_characters_at_the_edge(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--ctx", 4096, width=41)
    text = "日本語" * 13
    chat.type(text, enter=False)
    # 16 columns of prompt and 12 characters of two; one column of each row stays empty
    until(lambda: shown(chat), ["[0% of 4,096] > " + text[:12], text[12:32], text[32:]])
    for width in (26, 57, 41):
        chat.resize(width, 24)
        first = (width - 16) // 2
        rows = [text[:first]] + [text[i:i + width // 2]
                                 for i in range(first, len(text), width // 2)]
        until(lambda: shown(chat), ["[0% of 4,096] > " + rows[0], *rows[1:]])
        chat.keys("C-a")  # it has seen its new width
        until(lambda: cursor(chat), (16, 0))
        chat.keys("C-e")
        until(lambda: cursor(chat)[1], len(rows) - 1)
    emoji = FAMILY + "漢" + FLAG
    chat.keys("C-u")
    chat.type(emoji * 8, enter=False)
    until(lambda: "".join(shown(chat)), "[0% of 4,096] > " + emoji * 8)
    chat.keys("BSpace", "C-a", "Delete", "End")
    say(chat, "!")
    assert questions(saved(chat, tmp_path)) == [(emoji * 8)[len(FAMILY):-len(FLAG)] + "!"]


@pytest.mark.parametrize("left, right", [
    (["M-Left"], ["M-Right"]), (["C-Left"], ["C-Right"]), (["M-b"], ["M-f"]),
    ("\x1b\x1b[D", "\x1b\x1b[C"), ("\x1b[1;9D", "\x1b[1;9C"), ("\x1bOd", "\x1bOc"),
], ids=["alt", "ctrl", "emacs", "escape first", "meta", "rxvt"])
def test_words(open_chat, thinker, tmp_path, left, right):
    chat = open_chat(thinker)

    def press(key):
        chat.send(key) if isinstance(key, str) else chat.keys(*key)

    chat.type("one two-three four", enter=False)
    for _ in range(3):
        press(left)
    chat.type("(", enter=False)
    press(right)
    say(chat, ")")
    assert questions(saved(chat, tmp_path)) == ["one (two)-three four"]


def test_keys_of_lines(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    chat.type("one", enter=False)
    chat.keys("M-Enter")  # a line end within the message
    chat.type("two three", enter=False)
    until(lambda: shown(chat), [PROMPT + "one", "two three"])
    chat.keys("Home")
    chat.type("<", enter=False)
    chat.keys("Up", "End")
    chat.type(">", enter=False)
    chat.keys("C-End", "C-w", "BSpace", "C-a", "C-y", "C-e")
    say(chat, "!")
    chat.type("x y", enter=False)
    chat.keys("C-b", "C-b", "C-k", "C-y", "C-y", "C-a", "C-d", "C-t", "C-f")
    chat.type("?", enter=False)
    chat.keys("Tab", "C-v", "Tab")
    say(chat, "")
    assert questions(saved(chat, tmp_path)) == ["one>\nthree<two!", " ?\t\ty y"]


def test_a_paste_of_several_lines_is_edited(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--ctx", 4096, width=50)
    prompt = "[0% of 4,096] > "
    chat.type("see: ", enter=False)
    chat.paste("def f():\n\treturn 1\n\nprint(f())\n")
    until(lambda: shown(chat), [prompt + "see: def f():", "        return 1", "", "print(f())"])
    chat.keys("Up", "Up", "End")
    chat.type("2", enter=False)
    until(lambda: shown(chat), [prompt + "see: def f():", "        return 12", "", "print(f())"])
    chat.keys("Down", "Down", "End")
    say(chat, "#")
    chat.paste("/quit\n\x1b[31m")
    say(chat, "")
    messages = questions(saved(chat, tmp_path))
    assert messages == ["see: def f():\n\treturn 12\n\nprint(f())#", "/quit\n[31m"]
    chat.type("edited", enter=False)  # a large one takes no longer than it must
    began = time.monotonic()
    chat.paste("line of a text\n" * 3000)
    chat.keys("C-u")
    chat.type("gone", enter=False)
    chat.wait(r"> gone\Z")
    assert time.monotonic() - began < 10


def test_earlier_messages(open_chat, thinker, tmp_path):
    chat = open_chat(thinker, "--ctx", 4096)
    for text in ("alpha one", "beta two", "alpha three"):
        say(chat, text)
    chat.type("draft", enter=False)
    for key, text in (("PPage", "alpha three"), ("PPage", "beta two"), ("Up", "alpha one"),
                      ("PPage", "alpha one"), ("NPage", "beta two"), ("C-n", "alpha three"),
                      ("Down", "draft"), ("NPage", "draft"), ("C-p", "alpha three")):
        chat.keys(key)
        chat.wait(rf"> {text}\Z")
    chat.type("!", enter=False)
    chat.keys("PPage", "NPage")
    chat.wait(r"> alpha three!\Z")
    chat.keys("NPage", "C-u", "C-r")
    chat.type("alp", enter=False)
    chat.wait(r"^\(search `alp'\) alpha three\Z")
    chat.keys("C-r")
    chat.wait(r"^\(search `alp'\) alpha one\Z")
    chat.keys("C-r")
    chat.wait(r"^\(no other `alp'\) alpha one\Z")
    chat.keys("BSpace", "C-g")
    chat.wait(r"4,096\] >\Z")
    chat.keys("C-r")
    chat.type("beta", enter=False)
    chat.wait(r"^\(search `beta'\) beta two\Z")
    chat.keys("End")
    say(chat, "!")
    assert questions(saved(chat, tmp_path))[-1] == "beta two!"


def test_completion(open_chat, thinker, tmp_path):
    (tmp_path / "chats").mkdir()
    for name in ("one two.json", "one three.json", "änd.json", ".hidden"):
        (tmp_path / "chats" / name).write_text('{"messages": []}')
    chat = open_chat(thinker, width=100)
    chat.type("/sy", enter=False)
    chat.keys("Tab")
    chat.type("Be kind.")
    chat.wait(READY)
    chat.type("/s", enter=False)
    chat.keys("Tab")
    chat.wait(r"^/save +/save! +/stats +/system\n.* > /s\Z")
    chat.type("a", enter=False)
    chat.keys("Tab")
    chat.wait(r"> /save\Z")
    chat.keys("C-u")
    chat.type("/load ~/ch", enter=False)
    chat.keys("Tab")
    chat.wait(r"> /load ~/chats/\Z")
    chat.keys("Tab")
    chat.wait(r"^one three.json +one two.json +änd.json\n.* > /load ~/chats/\Z")
    chat.type("o", enter=False)
    chat.keys("Tab")
    chat.wait(r"> /load ~/chats/one t\Z")
    chat.type("w", enter=False)
    chat.keys("Tab")
    chat.wait(r"> /load ~/chats/one two.json\Z")
    assert "0 turns" in say(chat, "")
    chat.type("see ~/chats/ä", enter=False)
    chat.keys("Tab")
    say(chat, " there")
    messages = saved(chat, tmp_path)
    assert questions(messages) == ["see ~/chats/änd.json there"]
    chat.type("/help", enter=False)
    chat.keys("Tab", "Enter")
    chat.wait("/regenerate")
    chat.wait(READY)


def test_the_screen_is_cleared(open_chat, thinker):
    chat = open_chat(thinker)
    say(chat, "/help")
    chat.type("text", enter=False)
    chat.keys("Left", "C-l")
    until(lambda: chat.visible()[:2], [PROMPT + "text", ""])
    assert chat.cursor() == (len(PROMPT) + 3, 0)


def test_what_was_typed_ahead_is_the_next_message(open_chat, thinker, tmp_path):
    chat = open_chat(thinker)
    chat.type("one\rtwo\rthr", enter=False)  # at once: the second comes while the first is answered
    chat.wait(r"> thr\Z")
    chat.type("ee")
    chat.wait("^Y$", 3)
    assert questions(saved(chat, tmp_path)) == ["one", "two", "three"]
    assert re.search(r"> one$", chat.screen(), re.M)
