"""tests/e2e/harness.py -- a joblogd of one's own, and words to talk to it.

    with Joblogd() as d:                       # ephemeral port and data directory, embedded Redis
        d.post_lines("demo", ["a", "b"])
        d.event("demo", "COMPLETED")
        d.records("demo")                      # [{"seq":1,…}, …] by GET …/logs?format=ndjson&tail=all

Binaries come from the environment (JOBLOGD, JOBLOG), default build/joblogd and build/joblog.
Every wait has a deadline; children are stopped by pid.
"""
import asyncio
import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JOBLOGD = os.path.abspath(os.environ.get("JOBLOGD", os.path.join(ROOT, "build/joblogd")))
JOBLOG = os.path.abspath(os.environ.get("JOBLOG", os.path.join(ROOT, "build/joblog")))
START_S = 20.0  # a start with an embedded Redis, on a busy machine
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))  # deadlines of a slow build (tests/reports.py) are so many times longer


@functools.cache
def sanitized():
    """Is joblogd built with a sanitizer? Its size says nothing then: freed memory is kept for a while, and shadowed."""
    with open(JOBLOGD, "rb") as f:
        return re.search(rb"__[at]san_init", f.read()) is not None


def wait_for(condition, deadline_s=10.0, what="condition"):
    """The first true value of condition(), or AssertionError when deadline_s seconds have passed."""
    deadline_s *= PATIENCE
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not reached in {deadline_s} s: {what}")
        pause.wait(0.02)


class Reply:
    """One HTTP answer: status (int), headers (dict, lower case), body (bytes)."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


ALL = []  # every Joblogd of this process


def deaths():
    """What a failed test wants to know: each joblogd that has ended by itself, with its last words."""
    return "".join(f"joblogd {s.proc.pid} ended with {s.proc.returncode}:\n" + "".join(f"  {e}\n" for e in s.log[-30:])
                   for s in ALL if s.proc and s.proc.poll() not in (None, 0, -signal.SIGKILL))


class Joblogd:
    """A joblogd process. args: more flags. data: keep this directory instead of a temporary one.

    token: sent with every request that names no Authorization of its own."""

    def __init__(self, *args, data=None, port=0, env=None, start=True, wrapper=(), token=None, host="127.0.0.1"):
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="jl-")
        self.args, self.port, self.env, self.wrapper = list(args), port, dict(env or {}), list(wrapper)
        self.proc, self.log, self.address = None, [], None
        self.token = token
        ALL.append(self)
        self.binary, self.host = JOBLOGD, host
        if start:
            self.start()

    def start(self, ready=True):
        cmd = self.wrapper + [self.binary, "--listen", f"{self.host}:{self.port}", "--data", self.data,
                              "--log-format", "json", "--core-dumps"] + self.args
        env = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_")}
        env.update(self.env)
        self.address = None
        self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, env=env, cwd=self.data)
        threading.Thread(target=self._read_log, args=(self.proc.stderr,), daemon=True).start()
        wait_for(lambda: self.address or self.proc.poll() is not None, START_S, "joblogd listens")
        if not self.address:
            raise AssertionError(f"joblogd exited {self.proc.returncode}: {self.log[-10:]}")
        self.port = int(self.address.rsplit(":", 1)[1])
        if ready:
            wait_for(self.is_ready, START_S, "readyz")
        return self

    def _read_log(self, pipe):
        for raw in pipe:
            try:
                entry = json.loads(raw)
            except ValueError:
                entry = {"msg": raw.decode("utf-8", "replace").rstrip()}
            self.log.append(entry)
            if entry.get("msg") == "listening" and str(entry.get("address", "")).count(":"):
                self.address = self.address or entry["address"]
        pipe.close()

    def is_ready(self):
        if self.proc.poll() is not None:
            raise AssertionError(f"joblogd exited {self.proc.returncode}: {self.log[-10:]}")
        try:
            return self.get("/readyz", timeout=2).status == 200
        except OSError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.proc.pid

    def logged(self, msg):
        return [e for e in self.log if msg in str(e.get("msg", ""))]

    # -- processes -----------------------------------------------------------------------------
    def kill(self, sig=signal.SIGKILL, deadline_s=15):
        """Send sig and wait for the end; returns the exit code."""
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        return self.proc.wait(deadline_s)

    def restart(self, sig=signal.SIGTERM):
        self.kill(sig)
        return self.start()

    def redis_pid(self):
        path = os.path.join(self.data, "redis", "redis.pid")
        text = open(path).read() if os.path.exists(path) else ""
        return int(text) if text else None  # empty while it is written

    def redis_cli(self, *argv):
        """redis-cli against the embedded server; its stdout."""
        sock = self.redis_socket()
        return subprocess.run(["redis-cli", "-s", sock, *argv], check=True, capture_output=True,
                              timeout=20).stdout.decode("utf-8", "replace")

    def redis_socket(self):
        conf = open(os.path.join(self.data, "redis", "redis.conf")).read()
        for line in conf.splitlines():
            if line.startswith("unixsocket "):
                return line.split(None, 1)[1].strip('"')
        raise AssertionError("no unixsocket in redis.conf")

    def rss_bytes(self):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_ticks(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def close(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(15)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        with contextlib.suppress(Exception):
            pid = self.redis_pid()
            if pid and "redis-server" in open(f"/proc/{pid}/cmdline").read():
                os.kill(pid, signal.SIGKILL)
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- HTTP ----------------------------------------------------------------------------------
    def request(self, method, path, body=None, headers=None, timeout=20):
        conn = http.client.HTTPConnection(self.host, self.port, timeout=timeout * PATIENCE)
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        try:
            conn.request(method, path, body=body, headers=headers)
            r = conn.getresponse()
            data = r.read()
            return Reply(r.status, {k.lower(): v for k, v in r.getheaders()}, data)
        finally:
            conn.close()

    def get(self, path, headers=None, timeout=20):
        return self.request("GET", path, headers=headers, timeout=timeout)

    def post(self, path, body=b"", headers=None, timeout=20):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json", **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        return self.request("POST", path, body=body, headers=headers, timeout=timeout)

    def post_lines(self, job, lines, query="", headers=None, timeout=20):
        """lines: str (sent as text) or dict (sent as NDJSON)."""
        as_json = bool(lines) and isinstance(lines[0], dict)
        body = "".join((json.dumps(x) if as_json else x) + "\n" for x in lines)
        head = {"Content-Type": "application/x-ndjson" if as_json else "text/plain", **(headers or {})}
        return self.post(f"/v1/jobs/{job}/logs{query}", body, head, timeout)

    def make_token(self, scopes="read,ingest", project=None, **more):
        """A token's answer (token, id, …). The first one of a server must be an admin's."""
        r = self.post("/v1/tokens", {"scopes": scopes, "project": project, **more})
        assert r.status == 201, r
        return r.json()

    def close_doors(self):
        """Make the first token, an admin's, and use it from here on."""
        self.token = self.make_token("admin", name="root")["token"]
        return self.token

    def event(self, job, state, **more):
        return self.post(f"/v1/jobs/{job}/events", {"state": state, **more})

    def records(self, job, query="tail=all"):
        r = self.get(f"/v1/jobs/{job}/logs?format=ndjson&{query}", timeout=60)
        assert r.status == 200, r
        return [json.loads(x) for x in r.text.splitlines()]

    def job(self, job):
        r = self.get(f"/v1/jobs/{job}")
        assert r.status == 200, r
        return r.json()

    def metric(self, name):
        """The value of the first sample whose name (with labels) starts with name; None when absent."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name) and (line[len(name):len(name) + 1] in (" ", "{") or name.endswith("}")):
                return float(line.rsplit(" ", 1)[1])
        return None

    # -- tails ---------------------------------------------------------------------------------
    def tail_ws(self, job, query="tail=all", deadline_s=30, until=None):
        """Follow over WebSocket to the close (or until(msg) is true). Returns (messages, close code, reason)."""
        import websockets

        async def follow():
            messages = []
            uri = f"ws://{self.host}:{self.port}/v1/jobs/{job}/tail?{query}"
            async with websockets.connect(uri, max_size=None, **ws_token(self.token)) as ws:
                try:
                    async for text in ws:
                        messages.append(json.loads(text))
                        if until and until(messages[-1]):
                            return messages, None, None
                except websockets.ConnectionClosed:
                    pass
                return messages, ws.close_code, ws.close_reason

        return asyncio.run(asyncio.wait_for(follow(), deadline_s))


def ws_headers(headers):
    """The argument of websockets.connect for more headers, in every version of it."""
    import websockets

    new = int(websockets.__version__.split(".")[0]) >= 14
    return {"additional_headers" if new else "extra_headers": headers}


def ws_token(token):
    return ws_headers({"Authorization": f"Bearer {token}"} if token else {})


def tail_records(messages):
    """The records of a tail's messages in order: lines flattened, states as they came."""
    out = []
    for m in messages:
        if m["type"] == "lines":
            out.extend(m["lines"])
        elif m["type"] == "state":
            out.append(m)
    return out


def free_port():
    """A TCP port nobody listens on right now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def joblog(*argv, env=None, input=None, timeout=60, check=False, url=None):
    """Run the joblog command; CompletedProcess with text output."""
    e = {k: v for k, v in os.environ.items() if not k.startswith("JOBLOG_")}
    if url:
        e["JOBLOG_URL"] = url
    e.update(env or {})
    return subprocess.run([JOBLOG, *argv], env=e, input=input, capture_output=True, text=True,
                          timeout=timeout, check=check)


def quote(s):
    return urllib.parse.quote(s, safe="")
