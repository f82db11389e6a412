"""tests/e2e/65-whole-injection.py -- what users write stays data: in joblogd's own log, in headers, in metrics, on terminals."""
import json
import os
import re
import socket
import subprocess
import tempfile

from harness import JOBLOGD, Joblogd, joblog, wait_for
from terminal import Terminal
from wsraw import Raw

EVIL = "e\x1b[2Jv\x1b]0;t\x07il\u009b1m\u202e\r\n{\"level\":\"error\",\"msg\":\"forged\"}\n"


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        out = b""
        while True:
            got = s.recv(65536)
            if not got:
                return out
            out += got


def test_log_lines_cannot_be_forged():
    """Line ends, escapes and quotes in ids, headers, tokens' names, paths and messages never make a line of joblogd's log, nor leave
    a control byte in it, as JSON and as text."""
    for form in ("json", "text"):
        with tempfile.TemporaryDirectory(prefix="jl-forge-") as where:
            log = open(os.path.join(where, "log"), "wb")
            p = subprocess.Popen([JOBLOGD, "--listen", "127.0.0.1:0", "--data", os.path.join(where, "d"), "--log-format", form, "--log-level", "debug",
                                  "--core-dumps"], stderr=log, stdin=subprocess.DEVNULL)
            try:
                text = lambda: open(log.name, "rb").read()
                wait_for(lambda: b"connected to redis" in text(), 30, "it runs")
                port = int(re.search(rb"127\.0\.0\.1:(\d+)", text())[1])
                d = Joblogd(start=False)
                d.port = port
                wait_for(lambda: d.get("/readyz").status == 200, 30, "ready")
                root = d.make_token("admin", name="root \" \\ \u2028 \u202e x=1 msg=forged")
                d.token = root["token"]
                for name in ("a\nforged", "a\x1b[31mforged", "a\rforged", "\x00forged"):
                    assert d.post("/v1/tokens", {"scopes": "read", "name": name}).status == 400
                d.request("DELETE", f"/v1/tokens/{d.make_token('read', name='x')['id']}")
                nasty = b"a\x1b[2Jb\xff\xfe\"\\ forged"
                for head in (b"Authorization: Bearer " + nasty, b"X-Producer: " + nasty, b"User-Agent: " + nasty, b"X-Forwarded-For: " + nasty,
                             b"Origin: " + nasty, b"Cookie: " + nasty, b"Content-Type: " + nasty, b"Last-Event-ID: " + nasty, b"Host: " + nasty):
                    raw(port, b"GET /v1/jobs/" + nasty.replace(b" ", b"%0a") + b"?q=%0aforged HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
                    raw(port, b"GET /v1/jobs?x=1 HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
                d.post_lines("j", [EVIL], headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1"})
                d.event("j", "FAILED", message=EVIL)
                d.post("/v1/rules", {"id": "r", "line": {"contains": "e"}, "title": EVIL})
                d.post("/v1/jobs", {"id": "n", "name": EVIL, "labels": {"k": EVIL}})
                with Raw(port, "/v1/jobs/j/ingest", headers={"Authorization": f"Bearer {d.token}"}, protocol="joblog.ingest.v1, " + "x" * 200) as w:
                    assert w.status in (101, 400)
            finally:
                p.terminate()
                p.wait(30)
            got = text()
            assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", got), re.search(rb".{80}[\x00-\x09\x0b-\x1f\x7f].{80}", got, re.S)
            got.decode("utf-8")
            assert "\u2028" not in got.decode() and "\u202e" not in got.decode()
            for line in got.splitlines():
                if form == "json":
                    entry = json.loads(line)
                    assert entry["msg"] != "forged" and set(entry) >= {"ts", "level", "room", "msg"}, line
                else:
                    assert re.match(rb"\d\d:\d\d:\d\d\.\d+ (DEBUG|INFO |WARN |ERROR) ", line), line


def test_headers_and_metrics_cannot_be_split():
    """Nothing a client sends comes back as a header or as a metric of its own."""
    with Joblogd() as d:
        for path in ("/v1/jobs/x%0d%0aX-Evil:%201", "/v1/jobs/j/logs?format=%0d%0aX-Evil:%201", "/%0d%0aX-Evil:1", "/jobs/a%0d%0aX-Evil:1/b",
                     "/v1/jobs/j/tail?after=%0d%0aX-Evil:1&wait=0s"):
            for method in ("GET", "OPTIONS", "DELETE"):
                answer = raw(d.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x%0d%0aX-Evil: 1\r\n\r\n".encode())
                head = answer.split(b"\r\n\r\n")[0]
                assert b"x-evil" not in head.lower(), answer
        d.post("/v1/jobs", {"id": "m", "labels": {'k"}': 'v\n# forged\njoblog_forged 1'}, "name": 'a"\njoblog_forged 1'})
        d.post_lines("m", ["joblog_forged 1"], '?stream=x')
        text = d.get("/metrics").text
        assert not re.search(r"^joblog_forged|^# forged", text, re.M)
        for line in text.splitlines():
            assert re.match(r'(# (HELP|TYPE) joblog_\w+ .+|joblog_\w+(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})? [-+0-9.eE]+(Inf|NaN)?)$', line), line


def test_every_command_shows_it_safely():
    """On a terminal no command lets more than colour through of names, titles, rules, events, causes and errors."""
    with Joblogd("--drain-time", "100ms") as d, tempfile.TemporaryDirectory(prefix="jl-evil-") as tmp:
        evil = EVIL.replace("\r\n", "").replace("\n", "")
        d.post("/v1/projects", {"id": "default", "name": evil})
        assert d.post("/v1/rules", {"id": "r", "title": "e\u202ev", "line": {"contains": "CUDA"}, "labels": {"k": "e\u202ev"},
                                     "annotations": {"summary": "e\u202ev{{line}}"}}).status == 201
        assert d.post("/v1/receivers", {"id": "w", "kind": "alertmanager", "url": "http://127.0.0.1:9/" + "x"}).status == 201
        d.post("/v1/jobs", {"id": "j", "name": evil, "labels": {"k": evil}})
        d.post_lines("j", [{"msg": f"RuntimeError: CUDA out of memory {evil}", "rank": 0, "f": {evil[:30]: evil}},
                           {"msg": "Traceback (most recent call last):\n  File \"x\u202e.py\", line 1, in f\nValueError: " + evil, "rank": 1}])
        d.event("j", "FAILED", message=evil, exit_code=1)
        wait_for(lambda: d.job("j").get("sealed"), 30, "sealed")
        wait_for(lambda: '"alert"' in d.get("/v1/events?after=0&wait=0s").text, 30, "the rule has fired")
        rule = os.path.join(tmp, "r.json")
        with open(rule, "w") as f:
            json.dump({"id": "bad", "title": evil, "severity": evil, "line": {"pattern": "("}}, f)
        for argv in (["why", "j"], ["why", "j", "-o", "json"], ["events", "-n", "100"], ["events", "-n", "100", "-o", "json"], ["rules"], ["rules", "show", "r"],
                     ["rules", "add", rule], ["rules", "test", "r", "j"], ["receivers"], ["jobs"], ["show", "j"], ["logs", "j"], ["tail", "j"], ["rules", "show", evil],
                     ["why", evil], ["token", "list"], ["state", "j", evil], ["stop", "j"], ["rm", evil], ["run", "--job", evil, "--", "true"],
                     ["ship", evil], ["logs", "j", "--re", evil + "("], ["jobs", "--label", evil], ["events", "--group", evil], ["export", evil]):
            if argv[0] in ("logs", "show", "why"):
                argv = argv + ["--no-pager"]
            t = Terminal(*argv, url=d.url, err_too=True, HOME=tmp, XDG_STATE_HOME=tmp)
            try:
                seen = t.read(deadline_s=20) if argv[0] != "events" else t.read(lambda s: b"CUDA" in s or b"joblog:" in s, 20)
            finally:
                if t.proc.poll() is None:
                    t.proc.terminate()
                t.wait()
            rest = re.sub(rb"\x1b\[[0-9;:]*m", b"", seen)
            rest = re.sub(rb"\r\x1b\[2?K(\x1b\[A\x1b\[2K)*", b"", rest)  # the board's own
            assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", rest), (argv, rest[-1500:])
            assert not re.search("[\u0080-\u009f\u202a-\u202e\u2066-\u2069]", rest.decode("utf-8", "replace")), (argv, rest[-1500:])
