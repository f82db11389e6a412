"""tests/e2e/10-ingest-http.py -- POST /v1/jobs/J/logs: every form a line may come in."""
import gzip
import json
import subprocess
import zlib

from harness import Joblogd

d = None


def setup():
    global d
    d = Joblogd("--drain-time", "500ms", "--body-bytes", "8MiB")


def teardown():
    d.close()


def zstd(data, *args):
    return subprocess.run(["zstd", "-q", "-c", *args], input=data, capture_output=True, check=True).stdout


def lines_of(job):
    return [r for r in d.records(job) if "state" not in r]


def test_ndjson_array_text_and_curls_default():
    """NDJSON, a JSON array, plain text and curl's default type are told apart by type, else by looking."""
    d.post("/v1/jobs/forms/logs", '{"msg":"a"}\n{"msg":"b"}\n', {"Content-Type": "application/x-ndjson"})
    d.post("/v1/jobs/forms/logs", '[{"msg":"c"},{"msg":"d"}]', {"Content-Type": "application/json"})
    d.post("/v1/jobs/forms/logs", "e\nf", {"Content-Type": "text/plain"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    d.post("/v1/jobs/forms/logs", '{"msg":"g"}\n', form)
    d.post("/v1/jobs/forms/logs", "h=1&x\n", form)
    assert [r["msg"] for r in lines_of("forms")] == ["a", "b", "c", "d", "e", "f", "g", "h=1&x"]


def test_ack_counts_and_numbers():
    """The reply names the sequence range, the counts and the class reached."""
    r = d.post_lines("ack", ["1", "2", "3"]).json()
    last = r["last"]
    assert (r["accepted"], r["duplicates"], r["durability"]) == (3, 0, "durable"), r
    assert r["first"] == last - 2
    r = d.post_lines("ack", ["4"]).json()
    assert r["first"] == r["last"] == last + 1


def test_codings():
    """gzip and zstd bodies are decoded; an unknown coding is 415."""
    body = b'{"msg":"packed"}\n' * 100
    for name, data in (("gzip", gzip.compress(body)), ("zstd", zstd(body))):
        r = d.post("/v1/jobs/coded/logs", data, {"Content-Encoding": name, "Content-Type": "application/x-ndjson"})
        assert r.status == 200 and r.json()["accepted"] == 100, r
    assert d.post("/v1/jobs/coded/logs", body, {"Content-Encoding": "br"}).status == 415
    assert len(lines_of("coded")) == 200


def test_bombs_and_windows_are_refused():
    """A body that grows over the cap is 413, a zstd window over 8 MiB is refused, nothing is stored."""
    big = b"a" * (64 << 20)
    for name, data in (("gzip", gzip.compress(big)), ("zstd", zstd(big, "-3"))):
        r = d.post("/v1/jobs/bomb/logs", data, {"Content-Encoding": name, "Content-Type": "text/plain"}, timeout=60)
        assert r.status == 413, (name, r)
    wide = zstd(b"".join(b"%d\n" % i for i in range(3_000_000)), "--long=27", "-3")
    assert d.post("/v1/jobs/bomb/logs", wide, {"Content-Encoding": "zstd"}).status in (400, 413)
    assert d.get("/v1/jobs/bomb").status == 404


def test_a_cut_coding_stores_nothing():
    """A gzip or zstd body that is cut short is 400 and stores nothing."""
    for name, data in (("gzip", gzip.compress(b"x\n" * 999)[:-5]), ("zstd", zstd(b"x\n" * 999)[:-5])):
        r = d.post("/v1/jobs/cut/logs", data, {"Content-Encoding": name, "Content-Type": "text/plain"})
        assert r.status == 400, (name, r)
    assert d.get("/v1/jobs/cut").status == 404


def test_aliases_times_and_levels():
    """The usual names of time, message and level are understood, numbers of every epoch unit too."""
    want = "2026-11-23T20:54:01.123456Z"
    us = 1795467241123456
    sent = [
        {"timestamp": "2026-11-23T20:54:01.123456789Z", "message": "m", "severity": "ERROR"},
        {"time": "2026-11-23T21:54:01.123456+01:00", "log": "m", "lvl": "err"},
        {"@timestamp": us, "body": "m", "levelname": "ERROR"},
        {"ts": us * 1000, "text": "m", "level": 40},
        {"ts": str(us), "msg": "m", "level": "error"},
        {"ts": us / 1e6, "msg": "m", "level": "Error"},
    ]
    d.post_lines("alias", sent)
    got = lines_of("alias")
    for g in got:
        assert g["msg"] == "m" and g["level"] == "error", g
        assert g["ts"] == want, g


def test_level_from_text():
    """A level is read from the text where none is given, and not guessed from prose."""
    table = {
        "WARNING:root:slow": "warn", "2026-11-23 20:54:01,123 - root - ERROR - x": "error", "0 errors found": None,
        "node:1:2 [0] NCCL INFO x": "info", "node:1:2 [0] NCCL WARN x": "warn", "E1123 20:54:01.123456 7 x.cc:1] y": "error",
        "Traceback (most recent call last):": "error", "RuntimeError: CUDA out of memory": "error", "[INFO] hi": "info",
        "everything is fine": None,
    }
    d.post_lines("levels", list(table))
    assert [r.get("level") for r in lines_of("levels")] == list(table.values())


def test_unknown_keys_go_to_fields():
    """What is not ours is kept under fields, exactly."""
    d.post("/v1/jobs/fields/logs", b'{"msg":"x","step":12,"loss":0.25,"big":12345678901234567890123,"o":{"a":[1,null]}}\n')
    assert '"big":12345678901234567890123' in d.get("/v1/jobs/fields/logs?format=ndjson&tail=all").text
    assert lines_of("fields")[0]["fields"]["o"] == {"a": [1, None]}


def test_bad_line_is_named_and_nothing_is_stored():
    """A bad line is 400 with its number and the batch is refused whole; on_error=skip keeps it as text."""
    body = '{"msg":"a"}\n{"msg":"b"\n{"msg":"c"}\n'
    head = {"Content-Type": "application/x-ndjson"}
    r = d.post("/v1/jobs/bad/logs", body, head)
    assert r.status == 400 and "2" in r.json()["message"], r
    assert d.get("/v1/jobs/bad").status == 404
    r = d.post("/v1/jobs/bad/logs?on_error=skip", body, head)
    assert r.status == 200 and r.json()["accepted"] == 3, r
    assert [x["msg"] for x in lines_of("bad")] == ["a", '{"msg":"b"', "c"]


def test_bytes_a_job_can_write():
    """ANSI stays, invalid UTF-8 becomes U+FFFD, NUL stays escaped; text gives the bytes back."""
    d.post("/v1/jobs/bytes/logs", b"\x1b[31mred\x1b[0m\nbad \xff\xfe end\nnul \x00 end\n", {"Content-Type": "text/plain"})
    assert [r["msg"] for r in lines_of("bytes")] == ["\x1b[31mred\x1b[0m", "bad \ufffd\ufffd end", "nul \x00 end"]
    assert d.get("/v1/jobs/bytes/logs?tail=all").body == "\x1b[31mred\x1b[0m\nbad \ufffd\ufffd end\nnul \x00 end\n".encode()
    assert d.metric('joblog_repaired_total{reason="invalid_utf8"}') >= 1


def test_a_long_line_is_split_not_cut():
    """A line over the limit comes back in marked parts that join to what was sent."""
    long = "".join(f"{i:07d}é" for i in range(80000))
    r = d.post("/v1/jobs/long/logs", long.encode(), {"Content-Type": "text/plain"})
    assert r.status == 200, r
    parts = lines_of("long")
    assert len(parts) >= 2 and "".join(p["msg"] for p in parts) == long
    assert [p["fields"]["part"]["n"] for p in parts] == list(range(1, len(parts) + 1))


def test_redraws_keep_the_final_text():
    """A line redrawn with a carriage return is stored once, with its final text."""
    d.post("/v1/jobs/redraw/logs", b" 10%|#  |\r 50%|## |\r100%|###|\nnext\r\n", {"Content-Type": "text/plain"})
    a, b = lines_of("redraw")
    assert a["msg"] == "100%|###|" and a["fields"]["redraws"] == 2 and b["msg"] == "next", (a, b)


def test_exactly_once_by_producer_and_sequence():
    """Repeats are accepted and not stored again, an overlap is cut, a jump is 409 gap, an old epoch 409 fenced."""
    def send(first, lines, epoch=1):
        return d.post_lines("once", lines, headers={"X-Producer": "rank-0", "X-Epoch": str(epoch), "X-Sequence": str(first)})

    assert send(1, ["1", "2", "3"]).json()["accepted"] == 3
    again = send(1, ["1", "2", "3"]).json()
    assert (again["accepted"], again["duplicates"]) == (0, 3), again
    over = send(2, ["2", "3", "4", "5"]).json()
    assert (over["accepted"], over["duplicates"]) == (2, 2), over
    gap = send(9, ["9"])
    assert gap.status == 409 and gap.json()["code"] == "gap" and gap.json()["expected"] == 6, gap
    assert send(1, ["n1"], epoch=2).json()["accepted"] == 1
    assert send(6, ["6"], epoch=1).json()["code"] == "fenced"
    assert [r["msg"] for r in lines_of("once")] == ["1", "2", "3", "4", "5", "n1"]


def test_headers_are_validated():
    """Bad producer headers are 400 and named."""
    for name, value in (("X-Sequence", "0"), ("X-Sequence", "1x"), ("X-Epoch", "-1"), ("X-Producer", "a/b")):
        head = {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1", name: value}
        r = d.post_lines("heads", ["x"], headers=head)
        assert r.status == 400 and name.lower() in r.json()["message"].lower(), (name, value, r)


def test_fin_and_seal():
    """After a terminal state and the fin of every producer the job is sealed, and late lines are 409 sealed."""
    head = {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1"}
    d.post_lines("fin", ["a"], headers=head)
    assert d.event("fin", "COMPLETED", exit_code=0).status == 200
    r = d.post("/v1/jobs/fin/logs", b"", {"X-Producer": "p", "X-Epoch": "1", "X-Producer-Fin": "1"})
    assert r.status == 200, r
    job = d.job("fin")
    assert job["sealed"] and job["complete"] and job["missing"] == [], job
    late = d.post_lines("fin", ["late"])
    assert late.status == 409 and late.json()["code"] == "sealed", late


def test_line_parameters_are_defaults():
    """rank, replica, stream and level of the query are defaults, not overrides."""
    d.post_lines("params", [{"msg": "a"}, {"msg": "b", "rank": 7, "level": "error"}],
                 "?rank=3&replica=node-1&stream=stderr&level=debug")
    a, b = lines_of("params")
    assert (a["rank"], a["replica"], a["stream"], a["level"]) == (3, "node-1", "stderr", "debug"), a
    assert (b["rank"], b["level"]) == (7, "error"), b


def test_deflate_is_not_gzip():
    """A zlib stream sent as gzip is 400, not garbage in the log."""
    r = d.post("/v1/jobs/zl/logs", zlib.compress(b"x\n"), {"Content-Encoding": "gzip", "Content-Type": "text/plain"})
    assert r.status == 400, r
