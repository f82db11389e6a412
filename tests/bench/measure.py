"""tests/bench/measure.py -- what a row of the bench measures with: servers, CPU seconds, peak memory, medians.

Times are wall-clock seconds of a machine that may be busy; CPU seconds are user and system time of a process and
the children it has waited for. Peaks are VmHWM, reset at the start of a measurement.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from harness import Joblogd, free_port, wait_for  # noqa: E402, F401

TOOLS = os.path.join(os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build"))), "bench")
TICK = os.sysconf("SC_CLK_TCK")


class Figure:
    """One number of a row: name, value, unit; goal as ("<=", 5) or (">=", 5) or None; anchor as (name, value) or None."""

    def __init__(self, name, value, unit="", goal=None, anchor=None):
        self.name, self.value, self.unit, self.goal, self.anchor = name, value, unit, goal, anchor


def cpu_s(*pids):
    """User and system seconds of processes, 0 of one that is gone."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += sum(int(x) for x in fields[11:15]) / TICK
    return total


def status_kb(pid, key):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


class Meter:
    """CPU seconds of joblogd and of its Redis, and joblogd's peak MB, between with and now."""

    def __init__(self, server):
        self.server, self.redis = server, server.redis_pid()

    def __enter__(self):
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.server.pid}/clear_refs", "w") as f:
                f.write("5")
        self.start = (cpu_s(self.server.pid), cpu_s(self.redis), time.monotonic())
        return self

    def __exit__(self, *_):
        self.joblogd_s = cpu_s(self.server.pid) - self.start[0]
        self.redis_s = cpu_s(self.redis) - self.start[1]
        self.wall_s = time.monotonic() - self.start[2]
        self.peak_mb = status_kb(self.server.pid, "VmHWM") / 1024


def tool(name, *argv, deadline_s=300, may_fail=False):
    """The JSON object that a load tool prints; a tool that found something missing or twice fails the row."""
    p = subprocess.run([os.path.join(TOOLS, name), *map(str, argv)], capture_output=True, text=True, timeout=deadline_s)
    if p.returncode != 0 and not may_fail:
        raise AssertionError(f"{name} {argv}: exit code {p.returncode}: {p.stdout} {p.stderr}")
    return json.loads(p.stdout) if p.stdout else None


def timed(action, rounds=1):
    """The median seconds of action() over rounds."""
    took = []
    for _ in range(rounds):
        start = time.monotonic()
        action()
        took.append(time.monotonic() - start)
    return statistics.median(took)


def command(*argv, stdin=None, **kw):
    """(seconds, CPU seconds) of a program; its output goes nowhere. Exit code 1 is allowed (grep)."""
    before = os.times()
    start = time.monotonic()
    p = subprocess.run(argv, stdin=stdin, stdout=subprocess.DEVNULL, **kw)
    took = time.monotonic() - start
    after = os.times()
    assert p.returncode in (0, 1), argv
    return took, after.children_user + after.children_system - before.children_user - before.children_system


class Corpus:
    """The log of 2,000,000 lines (or fewer), as text and as NDJSON, made once in a folder."""

    def __init__(self, folder, lines):
        self.lines = lines
        self.text, self.ndjson = (os.path.join(folder, f"corpus-{lines}.{kind}") for kind in ("text", "ndjson"))
        for path in (self.text, self.ndjson):
            if not os.path.exists(path):
                with open(path + ".part", "wb") as f:
                    subprocess.run([os.path.join(TOOLS, "corpus"), str(lines), path.rsplit(".", 1)[1]], stdout=f, check=True)
                os.rename(path + ".part", path)
        for path in (self.text, self.ndjson):  # into the page cache
            command("cat", path)


class Nginx:
    """nginx with nchan (publishers at /pub/ID, followers at /sub/ID) and the files of a folder at /files/."""

    def __init__(self, folder="/var/empty"):
        if not shutil.which("nginx") or not os.path.exists("/usr/lib/nginx/modules/ngx_nchan_module.so"):
            raise FileNotFoundError("nginx with libnginx-mod-nchan is not installed")
        self.dir, self.port = tempfile.mkdtemp(prefix="jl-nginx-"), free_port()
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w") as f:
            f.write(f"""load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
user root; worker_processes 1; daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log;
worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{
  access_log off; client_max_body_size 16m; client_body_buffer_size 1m; sendfile on;
  client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy; fastcgi_temp_path {self.dir}/fcgi;
  uwsgi_temp_path {self.dir}/uwsgi; scgi_temp_path {self.dir}/scgi;
  keepalive_requests 1000000000; nchan_shared_memory_size 512M;
  server {{ listen 127.0.0.1:{self.port} backlog=16384;
    location ~ /pub/(.+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 2000; nchan_message_timeout 60s; }}
    location ~ /sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest; }}
    location /files/ {{ alias {folder}/; }}
  }} }}
""")
        self.proc = subprocess.Popen(["nginx", "-c", conf, "-p", self.dir], stderr=subprocess.DEVNULL)
        wait_for(self.listens, 20, "nginx listens")
        self.workers = [int(p) for p in subprocess.run(["pgrep", "-P", str(self.proc.pid)], capture_output=True, text=True).stdout.split()]

    def listens(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

    def cpu_s(self):
        return cpu_s(self.proc.pid, *self.workers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis:
    """A bare redis-server with an append-only file, for anchors."""

    def __init__(self, fsync):
        self.dir = tempfile.mkdtemp(prefix="jl-redis-")
        self.socket = os.path.join(self.dir, "sock")
        self.proc = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.dir, "--save", "",
                                      "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0"],
                                     stdout=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.socket), 20, "redis-server listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        self.proc.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)


def folder_bytes(path):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(base, f)) for base, _, files in os.walk(path) for f in files)
