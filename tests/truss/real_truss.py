"""tests/truss/real_truss.py -- the truss command as it is installed from the package index, and what it prints.

    cli = RealTruss(folder)                    installs it into folder/venv unless it is there
    p = cli.run("logs", "--job-id", "j")       truss train logs … --remote local: code, out, lines, rest
    t = cli.start("logs", "--job-id", "j", "--tail"); t.wait(60)

lines are what looks like `[2026-11-26 01:21:38]: (replica) message`; rest is all other output, which must never
show a trace, a None or the year 1970 to a person (check_for_people).
truss knows one local address, api.localhost:8000 (docs/baseten.md). Where the resolver does not know that name, it is
told so by libnss_wrapper, for truss alone.
"""
import glob
import os
import re
import shlex
import socket
import subprocess
import threading
import time
import unittest
from datetime import datetime, timezone

PORT = 8000
COLUMNS = 400  # wide enough that no line of a test is folded
LINE = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\]: (?:\(([\w.-]+)\) )?(.*)")
# truss' own words around a download; the "Error fetching" without a reason is how it ends every one of them.
CHATTER = re.compile(r"(No logs returned for job \S+ at iteration \d+|Completed pagination for job .*|"
                     r"Error fetching logs for job \S+ at iteration \d+:)\s*$")
UGLY = re.compile(r"Traceback|\bNone\b|\b1970-|\bnull\b|\bKeyError\b|\bNaN\b")


def rows(text):
    """(lines, rest): (time, replica or None, message) of each log line, and the other lines."""
    lines, rest = [], []
    for row in text.split("\n"):
        m = LINE.match(row)
        if m:
            lines.append(m.groups())
        elif row.strip() and not CHATTER.match(row):
            rest.append(row.rstrip())
    return lines, rest


def check_for_people(text):
    """Nothing a person should not be shown."""
    assert not UGLY.search(text), text[-3000:]


class Ended:
    def __init__(self, code, out):
        self.code, self.out = code, out
        self.lines, self.rest = rows(out)

    def messages(self):
        return [m for _, _, m in self.lines]

    def __repr__(self):
        return f"<exit {self.code}, {len(self.lines)} lines> {self.out[-2000:]}"


class Running:
    """A truss that runs; arrived: (seconds of time.time(), row) of all it printed so far."""

    def __init__(self, argv, env):
        self.proc = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, errors="replace")
        self.arrived = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for row in self.proc.stdout:
            self.arrived.append((time.time(), row.rstrip("\n")))

    def wait(self, deadline_s):
        try:
            code = self.proc.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise AssertionError(f"truss did not end in {deadline_s} s; it printed: {self.arrived[-5:]}") from None
        self.reader.join(20)
        return Ended(code, "\n".join(r for _, r in self.arrived))


class RealTruss:
    def __init__(self, folder, wanted="truss"):
        self.home = os.path.join(folder, "home")
        self.bin = os.path.join(folder, "venv", "bin")
        self._install(folder, wanted)
        self.env = {"HOME": self.home, "PATH": "/usr/bin:/bin", "TZ": "UTC", "LANG": "C.UTF-8", "COLUMNS": str(COLUMNS),
                    **self._names()}
        self.set_key("anything")
        self.version = subprocess.run([self.path, "--version"], env=self.env, capture_output=True, text=True, timeout=120).stdout.strip()

    @property
    def path(self):
        return os.path.join(self.bin, "truss")

    def _install(self, folder, wanted):
        os.makedirs(self.home, exist_ok=True)
        if not os.path.exists(self.bin):
            p = subprocess.run(["/usr/bin/python3", "-m", "venv", os.path.join(folder, "venv")], capture_output=True, text=True)
            if p.returncode:
                raise unittest.SkipTest(f"no virtual environment: {(p.stdout + p.stderr).strip().splitlines()[-1]}")
        p = subprocess.run([os.path.join(self.bin, "pip"), "install", "--quiet", "--retries", "1", "--timeout", "20",
                            "--disable-pip-version-check", wanted], capture_output=True, text=True, timeout=1200)
        if p.returncode and not os.path.exists(self.path):
            why = (p.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise unittest.SkipTest(f"{wanted} cannot be installed from the package index: {why}")

    def _names(self):
        """Environment in which api.localhost is this machine."""
        try:
            socket.getaddrinfo("api.localhost", PORT)
            return {}
        except OSError:
            pass
        found = glob.glob("/usr/lib/*/libnss_wrapper.so") + glob.glob("/usr/lib/libnss_wrapper.so")
        if not found:
            raise unittest.SkipTest("the resolver does not know api.localhost, and libnss-wrapper is not installed")
        hosts = os.path.join(self.home, "hosts")
        with open(hosts, "w") as f:
            f.write("127.0.0.1 localhost\n127.0.0.1 api.localhost\n")
        return {"LD_PRELOAD": found[0], "NSS_WRAPPER_HOSTS": hosts}

    def set_key(self, key):
        with open(os.path.join(self.home, ".trussrc"), "w") as f:
            f.write(f"[local]\nremote_provider = baseten\napi_key = {key}\nremote_url = http://localhost:{PORT}\n")

    def argv(self, *words):
        return [self.path, "train", *words, "--remote", "local"]

    def start(self, *words):
        return Running(self.argv(*words), self.env)

    def run(self, *words, deadline_s=120):
        return self.start(*words).wait(deadline_s)

    def shell(self, *words, columns=120):
        """The same as a line for a shell, on a terminal of that width."""
        env = {**self.env, "COLUMNS": str(columns), "TERM": "xterm-256color"}
        return "env -i " + " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items()) + " " + shlex.join(self.argv(*words))


def second(ns):
    """How truss prints a timestamp."""
    return datetime.fromtimestamp(ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
