"""Completion in the shells themselves: commands, options and values."""

import os
import re
import shlex
import shutil
import subprocess

import pajamas
import pytest
from terminal import Terminal

run = pajamas.run


def bash_words(*words):
    """What bash offers for the last word; readline takes = and : as words of their own."""
    script = run("completion", "bash").stdout
    line = " ".join(f"'{w}'" for w in ("llama-pajamas", *words))
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _llama_pajamas; "
         'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
    return done.stdout.split()


BASH = [
    (["ru"], ["run"]),
    (["--quiet", "ru"], ["run"]),
    (["--colour", "never", "ru"], ["run"]),
    (["--colour", "=", "never", "ru"], ["run"]),
    (["--colour", "al"], ["always"]),
    (["plan", "M", "--method", "Q5_K"], ["Q5_K_M", "Q5_K_S"]),
    (["plan", "M", "--method", "Q4_K_M,Q5_K"], ["Q4_K_M,Q5_K_M", "Q4_K_M,Q5_K_S"]),
    (["plan", "M", "--method", "Q4_K_M", ":", "4b"], ["4bit"]),
    (["plan", "M", "--method", "=", "MXFP4"], ["MXFP4_MOE"]),
    (["plan", "M", "--format", "gguf,"], ["gguf,gguf", "gguf,mlx", "gguf,fp8"]),
    (["run", "M", "--kv-cache", "q"], ["q8_0", "q4_0", "q3_0"]),
    (["run", "M", "--reasoning", "h"], ["high"]),
    (["run", "M", "--temp"], ["--temperature", "--temp"]),
    (["run", "M", "--system", "x"], []),
    (["completion", "f"], ["fish"]),
    (["help", "quan"], ["quantize"]),
    (["-v", "man", "quan"], ["quantize"]),
    (["models", "--rem"], ["--remove"]),
    (["compare", "--metrics", "speed,me"], ["speed,memory"]),
    (["compare", "--backend2", "c"], ["cpu"]),
    (["run", "M", "--backend", "a"], ["auto"]),
    (["chat", "M", "--kv-cache", "bf"], ["bf16"]),
]


@pytest.mark.parametrize("words, offered", BASH)
def test_bash_completes_values(words, offered):
    assert bash_words(*words) == offered


# Those that do not depend on how bash cuts words.
OTHERS = [(words, offered) for words, offered in BASH if not {"=", ":"} & set(words)]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize("words, offered", OTHERS)
def test_fish_completes_values(words, offered, tmp_path):
    script = run("completion", "fish").stdout
    line = shlex.join(["llama-pajamas", *words])
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{script}\ncomplete -C {shlex.quote(line)}"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)})
    assert done.stderr == ""
    assert set(offered) <= {row.split("\t")[0] for row in done.stdout.splitlines()}


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize("words, offered", OTHERS[1::3])  # a shell takes seconds to start
def test_zsh_completes_values(words, offered, tmp_path):
    """In a real shell: typed, and listed by it."""
    (tmp_path / "script").write_text(run("completion", "zsh").stdout)
    terminal = Terminal(tmp_path, [shutil.which("zsh"), "-f"], width=120, height=50)
    try:
        terminal.type("PS1='ready> '; autoload -Uz compinit && compinit -u; "
                      "source ~/script; clear")
        terminal.wait(r"^ready> *\Z")
        line = shlex.join(["llama-pajamas", *words])
        terminal.type(line, enter=False)
        terminal.wait(rf"{re.escape(line)}\Z")  # a tab among waiting keys would be a character
        terminal.keys("Tab")  # completes what is alone or what several have in common
        if len(offered) > 1:
            terminal.wait(r"\n|_\Z")
            terminal.keys("Tab")  # lists them
        for word in offered:
            terminal.wait(rf"(?<![\w-]){re.escape(word.split(',')[-1])}(?![\w-])")
    finally:
        terminal.close()
