"""tests/e2e/30-storage-archive.py -- what was live is settled: segments, history over both, damage."""
import glob
import json
import os
import subprocess

from harness import Joblogd, wait_for

d = None


def setup():
    global d
    d = Joblogd("--drain-time", "200ms", "--segment-bytes", "256KiB", "--hot-bytes", "64KiB", "--segment-age", "1s",
                "--settle-level", "0")


def teardown():
    d.close()


def segments(job, project="default"):
    return sorted(glob.glob(os.path.join(d.data, "archive", project, job, "*.jsonl.zst")))


def fill(job, count, first=0, width=150):
    for start in range(first, first + count, 1000):
        rows = [{"msg": f"n{i} {'q' * (i % width)}", "rank": i % 8, "level": "error" if i % 1000 == 0 else "info"}
                for i in range(start, min(start + 1000, first + count))]
        assert d.post_lines(job, rows).status == 200


def rolled():
    """The job "roll": 20,000 lines, sealed, in the archive alone. Made once."""
    if d.get("/v1/jobs/roll").status == 404:
        fill("roll", 20000)
        d.event("roll", "COMPLETED")
    wait_for(lambda: archived_whole("roll"), 30, "archived whole")


def archived_whole(job):
    j = d.job(job)
    return j["sealed"] and j["archived_upto"] == j["seq"]


def test_rolled_while_running_and_finished_at_seal():
    """Segments are rolled while the job runs, Redis is trimmed behind them, and all is archived at the seal."""
    fill("roll", 20000)
    wait_for(lambda: segments("roll"), 20, "a segment while running")
    job = wait_for(lambda: (lambda j: j if j["archived_upto"] > 0 else None)(d.job("roll")), 20, "archived_upto")
    assert job["state"] == "TRAINING_JOB_RUNNING"
    d.event("roll", "COMPLETED")
    wait_for(lambda: archived_whole("roll"), 30, "archived whole")
    wait_for(lambda: d.redis_cli("XLEN", "jl:{default/roll}:log").strip() == "0", 20, "Redis is trimmed")
    assert os.path.exists(os.path.join(d.data, "archive", "default", "roll", "job.json"))


def test_any_zstd_tool_reads_it():
    """zstd --test accepts every file, and zstd -dc of all of them is the log, line N being record N."""
    rolled()
    files = segments("roll")
    subprocess.run(["zstd", "-q", "--test", *files], check=True, capture_output=True)
    out = subprocess.run(["zstd", "-dc", *files], check=True, capture_output=True).stdout.decode()
    records = [json.loads(x) for x in out.splitlines()]
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
    assert records == d.records("roll")


def test_history_is_one_log():
    """Every filter and order works over archive and Redis alike, and agrees with a plain list."""
    fill("hist", 9000)
    wait_for(lambda: d.job("hist")["archived_upto"] > 0, 20, "partly archived")
    fill("hist", 500, 9000)
    every = d.records("hist")
    assert [r["msg"].split()[0] for r in every if "state" not in r] == [f"n{i}" for i in range(9500)]
    lines = [r for r in every if "state" not in r]
    assert [r for r in d.records("hist", "level=error") if "state" not in r] == [r for r in lines if r["level"] == "error"]
    assert [r for r in d.records("hist", "rank=3") if "state" not in r] == [r for r in lines if r["rank"] == 3]
    assert [r["msg"] for r in d.records("hist", "q=n4321%20") if "state" not in r] == [lines[4321]["msg"]]
    assert len([r for r in d.records("hist", "re=%5En77%5Cd%5Cd%20") if "state" not in r]) == 100
    assert d.records("hist", "tail=25") == every[-25:]
    assert d.records("hist", "order=desc&limit=30") == every[::-1][:30]
    epoch = d.job("hist")["cursor"].split(":")[0]
    assert d.records("hist", f"after={epoch}:5000&limit=10") == every[5000:5010]
    assert d.records("hist", f"before={epoch}:5001&order=desc&limit=10") == every[4990:5000][::-1]
    since = lines[6000]["ts"]
    assert [r for r in d.records("hist", f"since={since}") if r["ts"] < since] == []
    text = d.get("/v1/jobs/hist/logs?tail=all").text
    assert text.splitlines() == [r["msg"] for r in lines]
    assert d.get("/v1/jobs/hist/logs?format=json&tail=2").json()
    for bad in ("rank=x", "level=loud", "re=(", "limit=-1", "order=up", "after=1:2:3", "since=soon", "format=xml"):
        r = d.get(f"/v1/jobs/hist/logs?{bad}")
        assert r.status == 400 and bad.split("=")[0] in r.json()["message"], (bad, r)


def test_zstd_pass_through_equals_identity():
    """With Accept-Encoding: zstd the decoded bytes are the identity answer."""
    rolled()
    fill("mixed", 6000)
    wait_for(lambda: d.job("mixed")["archived_upto"] > 0, 20, "partly archived")
    fill("mixed", 300, 6000)
    for job in ("roll", "mixed"):
        plain = d.get(f"/v1/jobs/{job}/logs?format=ndjson&tail=all").body
        r = d.get(f"/v1/jobs/{job}/logs?format=ndjson&tail=all", {"Accept-Encoding": "zstd"})
        assert r.headers.get("content-encoding") == "zstd", r.headers
        assert len(r.body) < len(plain) / 3
        assert subprocess.run(["zstd", "-dc"], input=r.body, capture_output=True, check=True).stdout == plain


def test_download_with_range():
    """archive.jsonl.zst is one valid zstd file, its parts join, a bad range is 416."""
    rolled()
    whole = d.get("/v1/jobs/roll/archive.jsonl.zst")
    assert whole.status == 200
    text = subprocess.run(["zstd", "-dc"], input=whole.body, capture_output=True, check=True).stdout
    assert text == d.get("/v1/jobs/roll/logs?format=ndjson&tail=all").body
    n = len(whole.body)
    a = d.get("/v1/jobs/roll/archive.jsonl.zst", {"Range": "bytes=0-999"})
    b = d.get("/v1/jobs/roll/archive.jsonl.zst", {"Range": "bytes=1000-"})
    assert (a.status, b.status) == (206, 206) and a.body + b.body == whole.body
    assert a.headers["content-range"] == f"bytes 0-999/{n}", a.headers
    assert d.get("/v1/jobs/roll/archive.jsonl.zst", {"Range": f"bytes={n}-"}).status == 416
    listed = d.get("/v1/jobs/roll/archive").json()
    assert sum(s["bytes"] for s in listed["segments"]) == n, listed


def test_damage_loses_only_the_damaged_frame_loudly():
    """A flipped byte or a cut file never crashes the reader; what is lost is said, the rest is served."""
    fill("hurt", 30000)
    d.event("hurt", "COMPLETED")
    wait_for(lambda: archived_whole("hurt"), 30, "archived")
    path = segments("hurt")[0]
    data = bytearray(open(path, "rb").read())
    data[len(data) // 3] ^= 0x40
    d.restart()
    open(path, "wb").write(data)
    every = d.records("hurt")
    gaps = [r for r in every if "gap" in r]
    assert gaps and gaps[0]["gap"]["from"] >= 1, every[:2]
    kept = [r for r in every if "seq" in r]
    lost = sum(g["gap"]["to"] - g["gap"]["from"] + 1 for g in gaps)
    assert len(kept) + lost == d.job("hurt")["seq"] and len(kept) > 0
    open(path, "wb").write(data[: len(data) // 2])
    assert d.records("hurt") and d.get("/healthz").status == 200


def test_tail_of_an_archived_job():
    """A tail of a job that lies in the archive alone gives every record and the end."""
    rolled()
    messages, code, _ = d.tail_ws("roll", "tail=all", 60)
    assert code == 1000 and messages[-1]["type"] == "end" and messages[-1]["lines"] == 20000, messages[-1]
    assert sum(len(m["lines"]) for m in messages if m["type"] == "lines") == 20000
