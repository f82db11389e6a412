"""tests/e2e/terminal.py -- programs on a terminal: a bare one through a pty, and a real one in tmux.

    t = Terminal("tail", "demo", url=server.url, columns=200)      # joblog on a pty that is its controlling terminal
    t.read(lambda seen: b"word" in seen); t.resize(100, 30); t.type(b"q"); t.read(); code = t.wait()

    with Tmux(80, 24) as screen:                                   # what a person would see
        screen.run("joblog tail demo", url=server.url)
        screen.wait(lambda rows: "word" in rows[-1])
"""
import contextlib
import fcntl
import itertools
import os
import pty
import select
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from harness import JOBLOG, PATIENCE, wait_for


def environment(url, **more):
    """os.environ without joblog's own settings; None takes a variable away."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_") and k not in ("NO_COLOR", "PAGER", "LESS")}
    env.update({"JOBLOG_URL": url, "TERM": "xterm-256color", **more})
    return {k: v for k, v in env.items() if v is not None}


class Terminal:
    """joblog (or program) on a pty of its own session: stdout and stdin on it, stderr in a pipe unless err_too."""

    def __init__(self, *argv, url, err_too=False, columns=80, rows=24, program=JOBLOG, **env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.proc = subprocess.Popen([program, *argv], env=environment(url, **env), stdin=slave, stdout=slave,
                                     stderr=slave if err_too else subprocess.PIPE, start_new_session=True,
                                     preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""

    def read(self, until=None, deadline_s=15):
        """What came until the end, or until(bytes) is true."""
        end = time.monotonic() + deadline_s * PATIENCE
        while not (until and until(self.seen)):
            assert time.monotonic() < end, f"not seen: {self.seen[-3000:]!r}"
            if not select.select([self.master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            if not data:
                break
            self.seen += data
        return self.seen

    def type(self, data):
        os.write(self.master, data)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.proc.send_signal(signal.SIGWINCH)

    def wait(self):
        code = self.proc.wait(15)
        os.close(self.master)
        if self.proc.stderr:
            self.err = self.proc.stderr.read()
            self.proc.stderr.close()
        return code


class Tmux:
    """A tmux server of its own with one window of columns x rows."""
    numbers = itertools.count()

    def __init__(self, columns, rows):
        if not shutil.which("tmux"):
            raise unittest.SkipTest("tmux is not installed")
        self.folder = tempfile.mkdtemp(prefix="jl-tmux-")
        self.socket = os.path.join(self.folder, f"s{next(self.numbers)}")
        with open(os.path.join(self.folder, "conf"), "w") as f:
            f.write("set -g remain-on-exit on\nset -g default-terminal tmux-256color\nset -g status off\n"
                    "set -g remain-on-exit-format ''\nset -g history-limit 5000\nset -sg escape-time 0\n")
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "sh")
        self.columns, self.rows = columns, rows

    def tmux(self, *argv):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TMUX")}
        p = subprocess.run(["tmux", "-S", self.socket, "-f", os.path.join(self.folder, "conf"), "-u", *argv], env=env,
                           capture_output=True, text=True, timeout=20)
        assert p.returncode == 0, (argv, p)
        return p.stdout

    def run(self, command, url, **env):
        """Replace what runs in the window by a shell command; `joblog` is the one under test."""
        more = {k: v for k, v in environment(url, **env).items() if k.startswith(("JOBLOG", "PAGER", "LESS", "NO_COLOR"))}
        words = " ".join(f"{k}={shlex.quote(v)}" for k, v in more.items())
        self.tmux("respawn-pane", "-k", f"exec env -u PAGER -u LESS {words} bash --norc --noprofile -c "
                  + shlex.quote(f'joblog() {{ {shlex.quote(JOBLOG)} "$@"; }}; {command}'))

    def shell(self, url):
        """An interactive shell with job control and the prompt `$ `, in which `joblog` is the one under test."""
        rc = os.path.join(self.folder, "rc")
        with open(rc, "w") as f:
            f.write(f"PS1='$ '\nexport JOBLOG_URL={url}\njoblog() {{ {shlex.quote(JOBLOG)} \"$@\"; }}\n")
        self.tmux("respawn-pane", "-k", f"exec bash --rcfile {rc} -i")
        self.wait(lambda rows: rows[-1] == "$")

    def rows_seen(self, history=False, colours=False):
        """The lines on the screen without trailing blanks and empty rows at the end; with history, those above too."""
        text = self.tmux("capture-pane", "-p", *(["-S", "-"] if history else []), *(["-e"] if colours else []))
        rows = [r.rstrip() for r in text.split("\n")]
        while len(rows) > 1 and not rows[-1]:
            rows.pop()
        return rows

    def wait(self, condition, deadline_s=15, history=False):
        """The rows when condition(rows) is first true."""
        found = []

        def look():
            found[:] = self.rows_seen(history)
            return condition(found)

        try:
            wait_for(look, deadline_s, "the screen")
        except AssertionError:
            raise AssertionError("the screen shows:\n" + "\n".join(found)) from None
        return list(found)

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        self.columns, self.rows = columns, rows

    def is_dead(self):
        return self.tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    def exit_code(self):
        wait_for(self.is_dead, 15, "the command's end")
        return int(self.tmux("display-message", "-p", "#{pane_dead_status}").strip() or -1)

    def close(self):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.tmux("kill-server")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
