"""tests/e2e/35-serve-stats.py -- what a log says, asked of the server: lines over time, ranks, metrics, sections."""
import glob
import json
import os
import time

from harness import Joblogd, wait_for

d = None
LEVELS = ["none", "trace", "debug", "info", "warn", "error", "fatal"]


def setup():
    global d
    d = Joblogd("--drain-time", "200ms", "--segment-bytes", "256KiB", "--hot-bytes", "64KiB", "--segment-age", "1s",
                "--settle-level", "0")


def teardown():
    d.close()


def stats(job, query=""):
    reply = d.get(f"/v1/jobs/{job}/stats{query}")
    assert reply.status == 200, reply
    return reply.json()


def at(second):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1764000000 + second)) + f".{int(second * 1000) % 1000:03d}Z"


def training(job, count, ranks=4, first=0):
    """count lines of a run of four ranks, a line a second each, an error now and then."""
    for start in range(first, first + count, 1000):
        rows = []
        for i in range(start, min(start + 1000, first + count)):
            rank, step = i % ranks, i // ranks
            msg = f"step={step} loss={4 - step / 2000:.4f} lr=3e-4 {'x' * 60}"
            level = "info"
            if i % 997 == 0:
                msg, level = f"cannot read /data/shard-{i}.bin", "error"
            rows.append({"ts": at(step), "rank": rank, "level": level, "msg": msg})
        assert d.post_lines(job, rows).status == 200


def archived_whole(job):
    j = d.job(job)
    return j["sealed"] and j["archived_upto"] == j["seq"]


def digest_file(job):
    return os.path.join(d.data, "archive", "default", job, "digest")


def sums(s):
    return {level: sum(s["buckets"]["lines"][level]) for level in LEVELS}


def test_numbers_are_those_of_the_log():
    """Buckets, levels and ranks add up to the lines of the job; steps and metrics are the last ones said."""
    training("run", 8000)
    s = stats("run", "?buckets=100")
    records = [r for r in d.records("run") if "state" not in r]
    assert s["job"] == "run" and s["project"] == "default" and s["levels"] == LEVELS
    assert s["cursor"] == d.job("run")["cursor"]
    count = len(s["buckets"]["first_seq"])
    assert 40 < count <= 100 and len(s["buckets"]["bytes"]) == count
    assert all(len(s["buckets"]["lines"][level]) == count for level in LEVELS)
    assert sums(s)["error"] == sum(r["level"] == "error" for r in records) > 3
    assert sum(sums(s).values()) == len(records) == 8000
    assert [r["rank"] for r in s["ranks"]] == [0, 1, 2, 3] and s["ranks_omitted"] == 0
    for rank in s["ranks"]:
        mine = [r for r in records if r["rank"] == rank["rank"]]
        assert rank["lines"] == len(mine) == sum(rank["activity"]) == sum(rank["levels"].values())
        assert rank["last_at"] == mine[-1]["ts"] and len(rank["activity"]) == count
        assert rank["step"] == 1999 and rank["replica"] is None
    loss = [m for m in s["metrics"] if m["name"] == "loss" and m["rank"] == 0][0]
    assert abs(loss["last"] - 3.0005) < 1e-6 and 100 < len(loss["points"]) <= 256
    assert loss["points"][-1][0] == 1999 and loss["points"][0][0] in (0, 1)
    # the first record of a bucket is where its time begins
    width, start = s["bucket_s"], s["from"]
    for i in (0, count // 2, count - 1):
        seq = s["buckets"]["first_seq"][i]
        assert records[0]["seq"] <= seq <= records[-1]["seq"]
    assert width * count >= 2000 and start <= records[0]["ts"]


def test_archived_live_and_made_anew_are_the_same():
    """The answer is the same from Redis, from the file beside the segments, and made anew when that is gone or damaged."""
    training("roll", 20000)
    live = stats("roll")
    wait_for(lambda: os.path.exists(digest_file("roll")), 20, "a digest while running")
    d.event("roll", "COMPLETED")
    wait_for(lambda: archived_whole("roll"), 30, "archived whole")
    whole = stats("roll")
    assert whole == {**live, "cursor": whole["cursor"]}
    for damage in ("kept", "gone", "torn", "flipped", "old"):
        d.kill()
        told = len(d.logged("a damaged digest is made anew"))
        path = digest_file("roll")
        data = open(path, "rb").read()
        if damage == "gone":
            os.unlink(path)
        elif damage == "torn":
            open(path, "wb").write(data[:len(data) // 2])
        elif damage == "flipped":
            open(path, "wb").write(data[:200] + bytes([data[200] ^ 1]) + data[201:])
        elif damage == "old":
            open(path, "wb").write(data[:8] + b"\x63" + data[9:])
        d.start()
        assert stats("roll") == whole, damage
        assert open(path, "rb").read() == data, damage  # and left for the next
        assert len(d.logged("a damaged digest is made anew")) - told == (damage in ("torn", "flipped")), damage


def test_a_job_that_grows():
    """Asked again and again while lines come in, the answer is always that of the log so far."""
    training("grows", 500)
    for k in range(1, 8):
        s = stats("grows", "?points=0&buckets=7")
        assert sum(sums(s).values()) == 500 * k
        assert s["cursor"] == d.job("grows")["cursor"] and all(not m["points"] for m in s["metrics"])
        assert len(s["buckets"]["bytes"]) <= 7
        training("grows", 500, first=500 * k)


def test_empty_and_unknown():
    """A job without lines has empty arrays; an unknown one is 404; bad arguments are 400 and named."""
    d.post("/v1/jobs", {"id": "empty"})
    s = stats("empty")
    assert sum(sums(s).values()) == 0 and s["ranks"] == [] and s["metrics"] == [] and s["sections"] == []
    assert d.get("/v1/jobs/nobody/stats").status == 404
    for query in ("?buckets=0", "?buckets=2001", "?buckets=x", "?buckets=", "?points=257", "?points=-1", "?bucket=3"):
        reply = d.get("/v1/jobs/empty/stats" + query)
        assert reply.status == 400 and query[1:].split("=")[0] in reply.json()["message"], (query, reply)


def test_sections_and_unranked_lines():
    """Folds of CI systems are sections with their times; lines without a rank are counted by replica."""
    lines = ["::group::Install", "pip", "::endgroup::", "--- Train", "go", "section_start:1764000000:eval[collapsed=true]\r\x1b[0KEvaluate",
             "x", "section_end:1764000060:eval\r\x1b[0K", "+++ Report"]
    rows = [{"ts": at(i), "msg": m, "replica": "node-1"} for i, m in enumerate(lines)]
    assert d.post_lines("folds", rows).status == 200
    s = stats("folds")
    got = {x["name"]: (x["seq"], x["end_seq"], x["duration_s"]) for x in s["sections"]}
    first = d.records("folds")[0]["seq"]
    base = next(r["seq"] for r in d.records("folds") if r["msg"] == "::group::Install")
    assert got["Install"] == (base, base + 2, 2.0), got
    assert got["Train"] == (base + 3, base + 8, 5.0)
    assert got["eval"] == (base + 5, base + 7, 2.0)
    assert got["Report"] == (base + 8, None, None) and first <= base
    assert [(r["rank"], r["replica"], r["lines"]) for r in s["ranks"]] == [(None, "node-1", 9)]


def test_deleted():
    """With the job its digest goes; a new job of the same name starts from nothing."""
    training("gone", 3000)
    d.event("gone", "COMPLETED")
    wait_for(lambda: archived_whole("gone"), 30, "archived whole")
    assert os.path.exists(digest_file("gone"))
    assert sum(sums(stats("gone")).values()) == 3000
    assert d.request("DELETE", "/v1/jobs/gone").status in (200, 204)
    assert not glob.glob(os.path.join(d.data, "archive", "default", "gone*"))
    training("gone", 10)
    assert sum(sums(stats("gone")).values()) == 10


def test_damaged_segment():
    """Records that a damaged segment has lost are missing from the answer, and nothing else is."""
    training("hurt", 12000)
    d.event("hurt", "COMPLETED")
    wait_for(lambda: archived_whole("hurt"), 30, "archived whole")
    d.kill()
    os.unlink(digest_file("hurt"))
    path = sorted(glob.glob(os.path.join(os.path.dirname(digest_file("hurt")), "*.zst")))[0]
    data = bytearray(open(path, "rb").read())
    data[1000] ^= 0xff
    open(path, "wb").write(data)
    d.start()
    left = [r for r in d.records("hurt") if "state" not in r and "gap" not in r]
    assert 0 < len(left) < 12000
    assert sum(sums(stats("hurt")).values()) == len(left)
