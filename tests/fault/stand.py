"""tests/fault/stand.py -- a joblogd with its embedded Redis on a fixed port, to be hurt: killed, stopped, starved, misled.

Both can run over tests/fault/shim.c: joblogd's archive and Redis' append-only file are then slow, full or broken on cue, and
their clocks jump.
"""
import mmap
import os
import signal
import struct
import subprocess
import tempfile
import time

from harness import Joblogd, free_port, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
FAST = ["--segment-age", "1s", "--segment-bytes", "512KiB", "--hot-bytes", "256KiB"]
DELAY, SYNC_ERRNO, WRITE_ERRNO, CLOCK, HITS = range(5)  # the numbers of the shim


def compiled(source, name, *flags):
    """Path of a program or library of a C file beside this one, compiled when it is missing or old."""
    source, out = os.path.join(HERE, source), os.path.abspath(os.path.join(os.environ.get("BUILD", "build"), "fault", name))
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = f"{out}.{os.getpid()}"
        subprocess.run(["cc", "-O2", "-Wall", "-o", part, source, *flags], check=True)
        os.replace(part, out)
    return out


def shim_library():
    return compiled("shim.c", "shim.so", "-shared", "-fPIC", "-ldl")


class Shim:
    """The numbers of one shimmed process."""

    def __init__(self, path, mark):
        self.path, self.mark = path, mark
        with open(path, "wb") as f:
            f.write(bytes(64))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 64)

    def set(self, which, value):
        self.map[which * 8:which * 8 + 8] = struct.pack("<q", value)

    def get(self, which):
        return struct.unpack("<q", self.map[which * 8:which * 8 + 8])[0]

    def env(self):
        return {"LD_PRELOAD": shim_library(), "SHIM": self.path, "SHIM_PATH": self.mark}


class Stand(Joblogd):
    """args: further flags of joblogd. shims: run joblogd and Redis over shims (self.disk, self.aof). redis_args: further
    words for redis-server's command line; redis_env: its further environment. drain_s: how long an ended job waits for producers
    that never say fin."""

    drain_s = 30

    def __init__(self, *args, shims=False, redis_args="", redis_env=None, **kw):
        self.tools = tempfile.mkdtemp(prefix="jl-fault-")
        self.disk = self.aof = None
        env = dict(kw.pop("env", None) or {})
        redis_env = dict(redis_env or {})
        if shims:
            self.disk = Shim(os.path.join(self.tools, "joblogd.shim"), "/archive/")
            self.aof = Shim(os.path.join(self.tools, "redis.shim"), ".aof")
            env.update(self.disk.env())
            redis_env.update(self.aof.env())
        self.redis_extra = os.path.join(self.tools, "redis-args")
        self.set_redis_args(redis_args)
        script = os.path.join(self.tools, "redis-server")
        words = " ".join(f"{k}='{v}'" for k, v in redis_env.items())
        with open(script, "w") as f:
            f.write(f'#!/bin/sh\nunset LD_PRELOAD\nexec env {words} redis-server "$@" $(cat {self.redis_extra})\n')
        os.chmod(script, 0o755)
        self.crashes = []
        super().__init__(*FAST, "--drain-time", f"{self.drain_s}s", "--redis-server", script, *args, port=kw.pop("port", free_port()), env=env, **kw)

    def set_redis_args(self, words):
        with open(self.redis_extra, "w") as f:
            f.write(words)

    # -- what can be done to it --
    def kill_joblogd(self):
        self.kill(signal.SIGKILL)
        self.start(ready=False)

    def kill_redis(self):
        """kill -9; returns when it is gone (joblogd starts the next one). False: none was running."""
        pid = self.redis_alive()
        if not pid:
            return False
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.redis_alive() != pid, 10, "redis is gone")
        return True

    def kill_both(self):
        pid = self.redis_alive()
        self.kill(signal.SIGKILL)
        if pid:
            os.kill(pid, signal.SIGKILL)
        self.start(ready=False)

    def redis_alive(self):
        """Its pid while it runs, else 0."""
        try:
            pid = self.redis_pid()
            state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] if pid else "Z"
        except (OSError, ValueError):
            return 0
        return 0 if state in "ZX" else pid

    def stop(self, pid, seconds):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def redis(self, *argv):
        """redis-cli; "" when it does not answer."""
        try:
            return self.redis_cli(*argv)
        except (OSError, AssertionError, subprocess.SubprocessError):
            return ""

    def is_alive(self):
        return self.proc.poll() is None

    def close(self):
        super().close()
        subprocess.run(["rm", "-rf", self.tools], check=False)
