"""tests/e2e/64-ingest-redact.py -- secrets are taken out at ingest and at the agent, however they are cut, and counted."""
import asyncio
import json
import os
import random
import subprocess
import tempfile

from harness import JOBLOG, JOBLOGD, Joblogd, joblog, wait_for, ws_token

# Made up, of the right form; written so that no scanner of this repository takes them for real.
HF = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
WANDB = "0123456789abcdef0123" + "456789abcdef01234567"
BEARER = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
BODY = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
        "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu", "Ab12=="]
KEY = ["-----BEGIN RSA PRIVATE KEY-----", *BODY, "-----END RSA PRIVATE KEY-----"]
SECRETS = [HF, AWS, WANDB, BEARER, *BODY]
MARK = "[redacted:private-key]"
server = None


def setup():
    global server
    server = Joblogd("--redact", "--log-level", "debug")


def teardown():
    if server:
        server.close()


def kept(job, d=None):
    """What is kept of a job, as text; nothing secret may be anywhere in it."""
    d = d or server
    text = d.get(f"/v1/jobs/{job}/logs?format=ndjson&tail=all").text
    for s in SECRETS:
        assert s not in text, (s, text)
    return d.get(f"/v1/jobs/{job}/logs?tail=all").text


def counted(d=None):
    return {k: (d or server).metric(f'joblog_redacted_total{{kind="{k}"}}') for k in ("huggingface", "aws", "wandb", "bearer", "private-key")}


def test_lines_of_every_kind():
    """Text, NDJSON, fields, messages of states: the secret goes, the rest stays, the reply and the metrics count."""
    before = counted()
    r = server.post_lines("j", [f"login {HF} ok", f"id={AWS}", "plain", f"Authorization: Bearer {BEARER}", *KEY, "after"])
    assert r.status == 200 and r.json()["redacted"] == 4, r
    assert kept("j").splitlines() == ["login [redacted:huggingface] ok", "id=[redacted:aws]", "plain",
                                      "Authorization: Bearer [redacted:bearer]", *[MARK] * 5, "after"]
    r = server.post_lines("n", [{"msg": f"a\t{HF}\u00e4", "env": {"WANDB_API_KEY": WANDB, "n": 1}, "headers": [f"Bearer {BEARER}"]},
                                {"msg": "\n".join(["pem", *KEY, "end"])}, {"msg": f"commit {WANDB[:39]}"}])
    assert r.status == 200 and r.json()["redacted"] == 4, r
    records = [x for x in server.records("n") if "state" not in x]
    assert records[0]["msg"] == "a\t[redacted:huggingface]\u00e4", records
    assert records[0]["fields"] == {"env": {"WANDB_API_KEY": "[redacted:wandb]", "n": 1}, "headers": ["Bearer [redacted:bearer]"]}
    assert records[1]["msg"] == f"pem\n{MARK}\nend" and records[2]["msg"] == f"commit {WANDB[:39]}"
    assert server.event("n", "FAILED", message=f"cannot log in with {HF}").status == 200
    assert server.job("n")["error_message"] == "cannot log in with [redacted:huggingface]"
    kept("n")
    after = counted()
    assert {k: after[k] - before[k] for k in after} == {"huggingface": 3, "aws": 1, "wandb": 1, "bearer": 2, "private-key": 2}
    log = "\n".join(map(str, server.log))
    assert not any(s in log for s in SECRETS)


def test_cut_anywhere():
    """A body that comes in pieces of any size, and a key whose lines come in several requests, are the same."""
    import http.client

    body = "\n".join([f"x {HF}", *KEY, f"y Bearer {BEARER}", ""]).encode()
    rng = random.Random(7)
    want = ["x [redacted:huggingface]", *[MARK] * 5, "y Bearer [redacted:bearer]"]
    for i in range(12):
        def pieces():
            at = 0
            while at < len(body):
                n = 1 if i == 0 else rng.randint(1, 60)
                yield body[at:at + n]
                at += n
        conn = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        conn.request("POST", f"/v1/jobs/cut{i}/logs", pieces(), {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}, encode_chunked=True)
        assert conn.getresponse().status == 200
        conn.close()
        assert kept(f"cut{i}").splitlines() == want
    for n, line in enumerate(KEY):  # a request a line, numbered
        head = {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(n + 1)}
        assert server.post_lines("lines", [line], headers=head).status == 200
    assert kept("lines").splitlines() == [MARK] * 5
    # a batch from the middle of the key that is refused (a jump) and sent again
    for first, lines in ((1, KEY[:2]), (9, KEY[2:]), (3, KEY[2:])):
        r = server.post_lines("again", lines, headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(first)})
        assert r.status == (409 if first == 9 else 200), r
    assert kept("again").splitlines() == [MARK] * 5
    for first, lines in ((1, KEY[:2]), (9, KEY[2:]), (3, KEY[2:3]), (4, KEY[3:])):
        server.post_lines("again2", lines, headers={"X-Producer": "p", "X-Epoch": "1", "X-Sequence": str(first)})
    assert kept("again2").splitlines() == [MARK] * 5
    long = "a" * 300000 + " " + HF + " " + "b" * 300000  # split into parts, after the secret has gone
    assert server.post_lines("long", [long]).json()["split"] == 1
    assert kept("long").replace("\n", "") == long.replace(HF, "[redacted:huggingface]")


def test_the_agents_road():
    """Over WebSocket, in several messages and over a reconnect in the middle of a key: the same; states, too."""
    import websockets

    async def go():
        uri = f"ws://127.0.0.1:{server.port}/v1/jobs/ws/ingest"

        async def hello(w):
            await w.send('{"type":"hello","producer":"p","epoch":1}')
            return json.loads(await w.recv())

        async def lines(w, first, texts):
            await w.send((json.dumps({"type": "lines", "first": first}) + "\n" + "".join(json.dumps({"msg": t}) + "\n" for t in texts)).encode())
            while json.loads(await w.recv()).get("accepted", 0) < first + len(texts) - 1:
                pass

        async with websockets.connect(uri, subprotocols=["joblog.ingest.v1"], **ws_token(None)) as w:
            await hello(w)
            await lines(w, 1, [f"a {HF}", KEY[0]])
            await lines(w, 3, KEY[1:2])
        async with websockets.connect(uri, subprotocols=["joblog.ingest.v1"], **ws_token(None)) as w:
            assert (await hello(w))["last"] == 3
            await lines(w, 4, KEY[2:])
            await w.send(json.dumps({"type": "state", "state": "FAILED", "message": f"with {HF}"}))
            while json.loads(await w.recv())["type"] != "state_ack":
                pass

    asyncio.run(asyncio.wait_for(go(), 60))
    assert kept("ws").splitlines()[:6] == ["a [redacted:huggingface]", *[MARK] * 5]
    assert server.job("ws")["error_message"] == "with [redacted:huggingface]"


def test_the_agent_takes_them_out():
    """joblog run --redact and ship: nothing secret leaves the process, or lies in its spool; told at the end, terminal untouched."""
    with Joblogd() as plain, tempfile.TemporaryDirectory(prefix="jl-redact-") as tmp:
        script = os.path.join(tmp, "job.py")
        with open(script, "w") as f:
            f.write("import sys, time\n")
            for line in (f"x {HF}", *KEY):
                f.write(f"sys.stdout.write({line[:10]!r}); sys.stdout.flush(); time.sleep(0.01); sys.stdout.write({line[10:] + chr(10)!r}); sys.stdout.flush()\n")
            f.write(f"sys.stderr.write('10% {AWS}\\r20%\\r30% done\\n')\n")
        env = {"XDG_STATE_HOME": tmp, "JOBLOG_REDACT_PATTERNS": os.path.join(tmp, "p")}
        with open(env["JOBLOG_REDACT_PATTERNS"], "w") as f:
            f.write("# ours\nticket=TICKET-[0-9]{3,4}\n")
        p = joblog("run", "--job", "r", "--redact", "--", "python3", script, url=plain.url, env=env)
        assert p.returncode == 0 and HF in p.stdout and KEY[1] in p.stdout, p
        assert "joblog: 3 secrets were taken out of the log: aws 1, huggingface 1, private-key 1" in p.stderr, p.stderr
        assert kept("r", plain).splitlines() == ["x [redacted:huggingface]", *[MARK] * 5, "30% done"] or \
            sorted(kept("r", plain).splitlines()) == sorted(["x [redacted:huggingface]", *[MARK] * 5, "30% done"])
        text = f"TICKET-1234 {HF}\n" + "z" * 300000 + f" {AWS}\n" + json.dumps({"msg": f"m {HF}", "k": 1}) + "\n"
        p = joblog("ship", "s", "--json", url=plain.url, env=env, input=text)
        assert p.returncode == 0 and "4 secrets" in p.stderr, p
        got = [x for x in plain.records("s") if "state" not in x]
        assert got[0]["msg"] == "[redacted:ticket] [redacted:huggingface]" and got[-1]["msg"] == "m [redacted:huggingface]"
        assert got[-1]["fields"] == {"k": 1}
        kept("s", plain)
        # to a server that is away: the spool holds none
        p = joblog("run", "--job", "away", "--redact", "--flush-timeout", "100ms", "--", "echo", HF, url="http://127.0.0.1:1", env=env)
        files = [os.path.join(d, f) for d, _, fs in os.walk(os.path.join(tmp, "joblog")) for f in fs]
        assert files and any(b"[redacted:huggingface]" in open(f, "rb").read() for f in files), files
        assert not any(HF.encode() in open(f, "rb").read() for f in files)
        p = joblog("run", "--job", "bad", "--redact-patterns", "/nonexistent", "--", "true", url=plain.url)
        assert p.returncode == 2 and "--redact-patterns" in p.stderr, p


def test_patterns_of_the_server():
    """--redact-patterns takes what its expressions match, or their group; a mistake in it ends the start with its line."""
    with tempfile.TemporaryDirectory(prefix="jl-redact-") as tmp:
        path = os.path.join(tmp, "patterns")
        with open(path, "w") as f:
            f.write("# of our shop\ndb=postgres://[^:]+:(?P<secret>[^@]+)@\n")
        with Joblogd("--redact-patterns", path) as d:
            d.post_lines("j", ["postgres://u:hush@h/db", f"x {HF}", {"msg": "x"}["msg"]])
            assert d.get("/v1/jobs/j/logs").text == "postgres://u:[redacted:db]@h/db\nx [redacted:huggingface]\nx\n"
            r = d.post_lines("k", [{"msg": "say \"postgres://u:hu\\sh@h\"", "f": {"url": "postgres://u:hush@h"}}])
            assert r.json()["redacted"] == 2
            rec = [x for x in d.records("k") if "state" not in x][0]
            assert rec["msg"] == "say \"postgres://u:[redacted:db]@h\"" and rec["fields"]["f"]["url"] == "postgres://u:[redacted:db]@h"
            assert d.metric('joblog_redacted_total{kind="pattern"}') == 3
        with open(path, "w") as f:
            f.write("a=b\nx=(\n")
        p = subprocess.run([JOBLOGD, "--redact-patterns", path, "--data", os.path.join(tmp, "d")], capture_output=True, text=True, timeout=30)
        assert p.returncode == 2 and f"--redact-patterns {path}: line 2: " in p.stderr, p


def test_off_by_default():
    """Without the setting a log is kept as it was written, to the byte."""
    with Joblogd() as d:
        assert "redacted" not in d.post_lines("j", [HF, *KEY]).json()
        assert d.get("/v1/jobs/j/logs").text == "\n".join([HF, *KEY, ""])
