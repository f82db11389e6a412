"""tests/bench/rows_archive.py -- rows of the bench: the archive, and reading from it. All on one archived job."""
import glob
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time

from measure import TOOLS, Figure, Joblogd, Meter, Nginx, command, cpu_s, folder_bytes, timed, tool, wait_for

RARE = "zyzzyva-quorum"
# (what, argument of /logs and /search, grep's, goal in ms)
SEARCHES = (
    ("rare word", f"q={RARE}", ["-F", RARE], 10),
    ("substring inside the rare word", "q=zzyva-quo", ["-F", "zzyva-quo"], 60),
    ("pattern with alternatives", "re=elected%20.*zyzzyva.*step%20%5Cd%2B%7CChildFailedError.*137", ["-E", "elected .*zyzzyva.*step [0-9]+|ChildFailedError.*137"], 100),
    ("substring in every frame (ppl 1)", "q=ppl%201", ["-F", "ppl 1"], 60),
    ("pattern with a word of every frame", "re=NCCL.*Channel%202%5B13%5D/0", ["-E", "NCCL.*Channel 2[13]/0"], 100),
)
READS = 15


class Archived:
    """joblogd with the corpus as one ended, archived job; made once for all rows of a run."""

    def __init__(self, b):
        self.d = Joblogd("--durability", "accepted")
        tool("ingest_load", self.d.port, "bench", b.corpus.ndjson, "application/x-ndjson", 8, 500)
        before = cpu_s(self.d.pid)
        self.d.event("bench", "COMPLETED")
        wait_for(lambda: self.d.job("bench")["archived_upto"] >= self.d.job("bench")["seq"], 300, "archived")
        self.cpu_s = cpu_s(self.d.pid) - before - (self.d.metric("joblog_settle_cpu_seconds_total") or 0)
        self.folder = os.path.join(self.d.data, "archive", "default", "bench")

    def segments(self):
        return sorted(glob.glob(os.path.join(self.folder, "*.zst")))

    def read(self, path, **headers):
        """Bytes of an answer, read and thrown away."""
        c = http.client.HTTPConnection("127.0.0.1", self.d.port, timeout=60)
        c.request("GET", path, headers=headers)
        r = c.getresponse()
        assert r.status == 200, r.status
        n, buf = 0, bytearray(1 << 20)
        while got := r.readinto(buf):
            n += got
        c.close()
        return n

    def first(self, path):
        """Seconds to the first byte of the body."""
        c = http.client.HTTPConnection("127.0.0.1", self.d.port, timeout=60)
        start = time.monotonic()
        c.request("GET", path)
        c.getresponse().read(1)
        took = time.monotonic() - start
        c.close()
        return took


def archived(b):
    if not b.archived:
        b.archived = Archived(b)
    return b.archived


def row_archive(b):
    """Bytes on disk of the archived corpus, and what archiving costs; beside zstd on the same NDJSON in 1 MiB pieces."""
    a = archived(b)
    packed = os.path.join(b.folder, "anchor.zst")
    _, cpu3 = command("zstd", "-q", "-f", "-3", "-T1", b.corpus.ndjson, "-o", packed)
    size3 = os.path.getsize(packed)
    fresh = folder_bytes(a.folder)
    wait_for(lambda: a.d.metric("joblog_settle_jobs_total") >= 1 and len(a.segments()) < 10, 1800, "old segments are settled")
    for path in a.segments():
        command("zstd", "-q", "-t", path)
    size = folder_bytes(a.folder)
    ndjson = os.path.getsize(b.corpus.ndjson)
    return [
        Figure("archive on disk", size / 1e6, "MB", ("<=", 42 * b.corpus.lines / 2e6), ("zstd -3", size3 / 1e6)),
        Figure("of it while fresh", fresh / 1e6, "MB"),
        Figure("NDJSON to archive", ndjson / size, "x", None, ("zstd -3", ndjson / size3)),
        Figure("CPU of settling per million lines, at idle priority", a.d.metric("joblog_settle_cpu_seconds_total") / b.corpus.lines * 1e6, "s"),
        Figure("CPU of the first archiving per million lines", a.cpu_s / b.corpus.lines * 1e6, "s", None, ("zstd -3", cpu3 / b.corpus.lines * 1e6)),
    ]


def row_last_lines(b):
    """The last 1,000 lines of the archived job."""
    a = archived(b)
    path = "/v1/jobs/bench/logs?tail=1000"
    return [Figure("last 1,000 lines", timed(lambda: a.read(path), READS) * 1e3, "ms", ("<=", 5),
                   ("tail -n 1000", timed(lambda: command("tail", "-n", "1000", b.corpus.text), READS) * 1e3))]


def row_search(b):
    """Words, substrings and patterns in the whole archived job, rare ones and ones that every frame holds; grep beside it on the plain text."""
    a = archived(b)
    figures = []
    for what, query, grep, goal_ms in SEARCHES:
        path = f"/v1/jobs/bench/logs?format=text&tail=all&{query}"
        def count():  # into a pipe: into /dev/null grep stops at the first match
            return int(subprocess.run(["grep", "-c", *grep, b.corpus.text], capture_output=True, text=True, check=False).stdout)

        wanted = count()
        found = a.d.get(path, timeout=60).body.count(b"\n")
        assert found == wanted > 0, f"{what}: {found} lines, grep finds {wanted}"
        anchor = timed(count, 3) * 1e3
        figures.append(Figure(what, timed(lambda: a.read(path), READS) * 1e3, "ms", ("<=", goal_ms), ("grep", anchor)))
        figures.append(Figure(f"{what}, first result", timed(lambda: a.first(f"/v1/jobs/bench/search?{query}"), READS) * 1e3, "ms", ("<=", 10)))
    zgrep = timed(lambda: command("zstdgrep", "-F", RARE, *a.segments()))
    figures.append(Figure("rare word by zstdgrep on the segments", zgrep * 1e3, "ms"))
    return figures


def row_whole_job(b):
    """The whole job: as text, and as the stored zstd frames."""
    a = archived(b)
    with Meter(a.d) as m:
        text = timed(lambda: a.read("/v1/jobs/bench/logs?format=text&tail=all"), 3)
    stored = timed(lambda: a.read("/v1/jobs/bench/logs?format=ndjson&tail=all", **{"Accept-Encoding": "zstd"}), 5)
    packed = tempfile.mkdtemp(prefix="jl-files-", dir=b.folder)
    os.chmod(packed, 0o755)
    with open(os.path.join(packed, "all.zst"), "wb") as f:
        for path in a.segments():
            with open(path, "rb") as src:
                shutil.copyfileobj(src, f)
    whole = os.path.join(packed, "all.zst")
    plain = timed(lambda: command("zstd", "-q", "-d", "-c", whole), 3)
    with Nginx(packed) as n:
        def read():
            c = http.client.HTTPConnection("127.0.0.1", n.port, timeout=60)
            c.request("GET", "/files/all.zst")
            r, buf = c.getresponse(), bytearray(1 << 20)
            while r.readinto(buf):
                pass
        sent = timed(read, 5)
    shutil.rmtree(packed)
    scale = b.corpus.lines / 2e6
    return [
        Figure("as text", text, "s", ("<=", 0.4 * scale), ("zstd -dc", plain)),
        Figure("as stored zstd", stored, "s", ("<=", 0.06), ("nginx sendfile", sent)),
        Figure("peak memory", m.peak_mb, "MB", ("<=", 64)),
    ]


def many_jobs(count):
    """A data directory with so many archived jobs of 20 lines each and nothing else; the caller removes it."""
    with Joblogd("--drain-time", "100ms") as d:
        d.post_lines("one", [f"line {i}" for i in range(20)])
        d.event("one", "COMPLETED")
        wait_for(lambda: d.job("one")["sealed"] and d.job("one")["archived_upto"] >= d.job("one")["seq"], 60, "archived")
        one = os.path.join(d.data, "archive", "default", "one")
        wait_for(lambda: os.path.exists(os.path.join(one, "job.json")), 20, "job.json")
        d.kill(15)
        files = {f: open(os.path.join(one, f), "rb").read() for f in os.listdir(one)}
    data = tempfile.mkdtemp(prefix="jl-many-")
    for k in range(count):
        folder = os.path.join(data, "archive", "default", f"job-{k:06d}")
        os.makedirs(folder)
        for name, content in files.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(content.replace(b'"one"', f'"job-{k:06d}"'.encode()) if name == "job.json" else content)
    return data


def row_start(b):
    """Ready with 100,000 archived jobs on disk: with an empty Redis, and again when Redis knows them."""
    count = 100_000 if not b.quick else 5_000
    data = many_jobs(count)
    try:
        started = time.monotonic()
        with Joblogd(data=data) as d:
            took = time.monotonic() - started
            one = timed(lambda: d.get(f"/v1/jobs/job-{count - 1:06d}/logs"))
            wait_for(lambda: d.metric("joblog_archive_rebuild_rounds_total") >= 1, 600, "all jobs are listed")
            listed, memory = time.monotonic() - started - took, d.rss_bytes() / 1e6
            cpu = cpu_s(d.pid, d.redis_pid())
            d.kill(15)
        started = time.monotonic()
        with Joblogd(data=data) as d:
            again = time.monotonic() - started
            assert d.get(f"/v1/jobs/job-{count // 2:06d}").status == 200
        return [
            Figure(f"ready with {count:,} archived jobs", took, "s", ("<=", 1)),
            Figure("any one of them, at once", one * 1e3, "ms"),
            Figure("all of them in the list", listed, "s"),
            Figure("CPU of that, Redis included, a job", cpu / count * 1e6, "us"),
            Figure("memory", memory, "MB", ("<=", 64)),
            Figure("ready again, Redis loads them", again, "s", ("<=", 1)),
        ]
    finally:
        shutil.rmtree(data, ignore_errors=True)


XYLOPHONE = "xylophone-quasar"


def synthetic(b, lines):
    """A data directory with one archived job of so many lines, made by storage/ without a server; the caller removes it."""
    with Joblogd("--drain-time", "100ms") as d:
        d.post_lines("grow", ["line"])
        d.event("grow", "COMPLETED")
        path = os.path.join(d.data, "archive", "default", "grow", "job.json")
        wait_for(lambda: os.path.exists(path) and json.load(open(path))["sealed"], 60, "job.json of the end")
        job = json.load(open(path))
    last = lines + 1
    job.update(seq=last, lines=lines, archived_upto=last, held_from=last + 1, cursor=f"{job['epoch']}:{last}")
    job["levels"]["none"], job["history"][-1]["seq"] = lines, last
    job["by_rank"][0].update(lines=lines, last_seq=lines)
    data = tempfile.mkdtemp(prefix="jl-long-", dir=b.folder)
    folder = os.path.join(data, "archive", "default", "grow")
    os.makedirs(folder)
    command(os.path.join(TOOLS, "archive_make"), folder, str(lines), b.corpus.ndjson, XYLOPHONE)
    with open(os.path.join(folder, "job.json"), "w") as f:
        json.dump(job, f)
    return data


def growth(d, lines):
    """What is asked of a job of so many lines."""
    def read(query, count):
        got = d.get(f"/v1/jobs/grow/logs?{query}").body.count(b"\n")
        assert got == count, (query, got)

    last = timed(lambda: read("tail=1000", 1000), 9)
    middle = timed(lambda: read(f"after={lines // 2}&limit=100&order=asc", 100), 9)
    cold = timed(lambda: read(f"tail=all&q={XYLOPHONE}", 1))
    rare = timed(lambda: read(f"tail=all&q={XYLOPHONE}", 1), 9)
    return [Figure(f"{lines:,} lines: last 1,000", last * 1e3, "ms"), Figure(f"{lines:,} lines: 100 in the middle", middle * 1e3, "ms"),
            Figure(f"{lines:,} lines: rare word, the first time", cold * 1e3, "ms"), Figure(f"{lines:,} lines: rare word", rare * 1e3, "ms"),
            Figure(f"{lines:,} lines: memory", d.rss_bytes() / 1e6, "MB")]


def row_lines_of_a_job(b):
    """Cost as a job grows: its last 1,000 lines, 100 in its middle, a rare word, the post-mortem; from 10 M lines on the archive is a made one."""
    figures = []
    for lines in (10_000, 100_000, 1_000_000) if not b.quick else (10_000, 100_000):
        with Joblogd("--durability", "accepted") as d:
            tool("ingest_load", d.port, "grow", b.corpus.ndjson, "application/x-ndjson", 8, 500, lines // 500)
            d.post_lines("grow", [f"only here: {XYLOPHONE}"])
            d.event("grow", "COMPLETED")
            wait_for(lambda: d.job("grow")["archived_upto"] >= d.job("grow")["seq"], 600, "archived")
            figures += growth(d, lines)
            figures.append(Figure(f"{lines:,} lines: post-mortem", timed(lambda: d.get("/v1/jobs/grow/postmortem"), 9) * 1e3, "ms"))
    for lines in (10_000_000, 100_000_000) if not b.quick else (1_000_000,):
        data = synthetic(b, lines)
        try:
            started = time.monotonic()
            with Joblogd(data=data) as d:
                figures.append(Figure(f"{lines:,} lines: ready", time.monotonic() - started, "s"))
                figures += growth(d, lines)
        finally:
            shutil.rmtree(data, ignore_errors=True)
    return figures


row_lines_of_a_job.once = row_start.once = True
