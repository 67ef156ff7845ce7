"""A program in a real terminal: tmux shows what it drew, and passes keys on."""

import itertools
import os
import pathlib
import re
import shlex
import subprocess
import time

_numbers = itertools.count()
PATIENCE = 30  # seconds; machines are slow at times


class Terminal:
    """Runs `command` in a terminal of its own until it is closed. `screen()` is what can be read
    there now, what has scrolled off included."""

    def __init__(self, folder, command, width=80, height=24, env=None):
        self._socket = str(folder / f"tmux{next(_numbers)}")
        self._status = folder / "status"
        self._status.unlink(missing_ok=True)
        variables = {"HOME": str(folder), "LC_ALL": "C", **(env or {})}
        words = ["env", *(f"{k}={v}" for k, v in variables.items()), *map(str, command)]
        # Ctrl-C is for the program; the shell stays, so that the screen does.
        line = (f"trap : INT; {shlex.join(words)}; "
                f"echo $? $(stty -a) > {shlex.quote(str(self._status))}; sleep 600")
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", width, "-y", height,
                   f"sh -c {shlex.quote(line)}")
        self._open = True

    def _tmux(self, *words):
        # UTF-8 whatever the locale; a server of this test alone.
        done = subprocess.run(["tmux", "-u", "-S", self._socket, *map(str, words)],
                              capture_output=True, timeout=PATIENCE,
                              env={**os.environ, "TMUX": "", "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def close(self):
        if self._open:
            self._open = False
            self._tmux("kill-server")

    def keys(self, *names):
        """Keys by tmux's names: "C-c", "Up", "Enter"."""
        self._tmux("send-keys", "-t", "t", *names)

    def send(self, text):
        """Bytes as another terminal sends them."""
        self._tmux("send-keys", "-t", "t", "-H", *(f"{b:02x}" for b in text.encode()))

    def type(self, text, enter=True):
        self._tmux("send-keys", "-t", "t", "-l", text)
        if enter:
            self.keys("Enter")

    def paste(self, text):
        """As the mouse does: marked as a paste where the program asked for that."""
        path = pathlib.Path(f"{self._socket}.paste")
        path.write_text(text)
        self._tmux("load-buffer", "-b", "b", path)
        self._tmux("paste-buffer", "-p", "-b", "b", "-t", "t")

    def resize(self, width, height):
        """tmux tells the program up to a quarter of a second later."""
        self._tmux("resize-window", "-t", "t", "-x", width, "-y", height)
        tty = os.open(self._tmux("list-panes", "-t", "t", "-F", "#{pane_tty}").strip(),
                      os.O_RDONLY | os.O_NOCTTY)
        end = time.monotonic() + PATIENCE
        while os.get_terminal_size(tty) != (width, height):
            assert time.monotonic() < end, "the window was not resized"
            time.sleep(0.02)
        os.close(tty)

    def screen(self):
        lines = self._tmux("capture-pane", "-p", "-S", "-2000", "-t", "t").split("\n")
        return "\n".join(line.rstrip() for line in lines).rstrip("\n")

    def visible(self):
        """What the window shows now, a text for each of its rows."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p", "-t", "t").split("\n")]

    def cursor(self):
        """Column and row, from 0."""
        place = self._tmux("display-message", "-p", "-t", "t", "#{cursor_x} #{cursor_y}")
        return tuple(map(int, place.split()))

    def escapes(self):
        """The same with its colours as escape sequences."""
        return self._tmux("capture-pane", "-p", "-e", "-S", "-2000", "-t", "t")

    def pid(self):
        """Of the program."""
        shell = self._tmux("list-panes", "-t", "t", "-F", "#{pane_pid}").strip()
        return int(subprocess.run(["pgrep", "-P", shell], capture_output=True, check=True,
                                  text=True).stdout.split()[0])

    def wait(self, pattern, times=1):
        """Until the screen matches the pattern so many times; returns the screen."""
        end = time.monotonic() + PATIENCE
        while True:
            screen = self.screen()
            if len(re.findall(pattern, screen, re.M)) >= times:
                return screen
            assert time.monotonic() < end, f"no {pattern!r} ({times}) in\n{screen}"
            time.sleep(0.05)

    def status(self):
        """The program's exit status, once it has ended. The terminal must be as it was."""
        end = time.monotonic() + PATIENCE
        while not (self._status.exists() and self._status.read_text().endswith("\n")):
            assert time.monotonic() < end, f"still running:\n{self.screen()}"
            time.sleep(0.05)
        status, *settings = self._status.read_text().split()
        assert {"echo", "icanon", "isig"} <= set(settings)
        return int(status)
