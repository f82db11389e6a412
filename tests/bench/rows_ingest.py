"""tests/bench/rows_ingest.py -- rows of the bench: lines into joblogd."""
import os
import subprocess
import time

from measure import Corpus, Figure, Joblogd, Meter, Nginx, Redis, TOOLS, cpu_s, free_port, tool, wait_for

REQUEST_LINES = 500


def bare_xadd(corpus, fsync):
    """(lines/s, CPU seconds of Redis per million lines) of XADD of the same bytes, 500 lines an entry, and nothing else."""
    entries = corpus.lines // REQUEST_LINES
    with open(corpus.ndjson, "rb") as f:
        entry = b"".join(f.readline() for _ in range(REQUEST_LINES))
    with Redis(fsync) as r:
        start = time.monotonic()
        subprocess.run(["redis-benchmark", "-s", r.socket, "-q", "-c", "8", "-n", str(entries), "-x", "xadd", "s", "MAXLEN", "~", "500", "*", "d"],
                       input=entry, stdout=subprocess.DEVNULL, check=True)
        took = time.monotonic() - start
        return corpus.lines / took, cpu_s(r.proc.pid) / corpus.lines * 1e6


def ingest(corpus, durability, goals):
    with Joblogd("--durability", durability) as d:
        with Meter(d) as m:
            got = tool("ingest_load", d.port, "bench", corpus.ndjson, "application/x-ndjson", 8, REQUEST_LINES)
        assert d.job("bench")["lines"] == corpus.lines, d.job("bench")
    million = corpus.lines / 1e6
    xadd, xadd_cpu = bare_xadd(corpus, "always" if durability == "durable" else "everysec")
    return [
        Figure("lines/s", got["lines_s"], "", goals.get("lines_s"), ("bare XADD", xadd)),
        Figure("CPU per million lines", (m.joblogd_s + m.redis_s) / million, "s", goals.get("cpu"), ("bare XADD", xadd_cpu)),
        Figure("of it joblogd", m.joblogd_s / million, "s"),
        Figure("of it Redis", m.redis_s / million, "s"),
        Figure("request p50", got["p50_us"] / 1e3, "ms"),
        Figure("request p99", got["p99_us"] / 1e3, "ms"),
        Figure("peak memory", m.peak_mb, "MB", ("<=", 64)),
    ]


def row_ingest_accepted(b):
    """NDJSON, class `accepted`: 8 connections, 500 lines a request."""
    return ingest(b.corpus, "accepted", {"lines_s": (">=", 1.2e6), "cpu": ("<=", 1.0)})


def row_ingest_durable(b):
    """NDJSON, class `durable`: fsynced before every ack."""
    return ingest(b.corpus, "durable", {"lines_s": (">=", 700e3)})


def row_ingest_rsyslog(b):
    """The same lines as text: joblogd (`accepted`), and rsyslog from TCP into a plain file."""
    with Joblogd("--durability", "accepted") as d:
        with Meter(d) as m:
            got = tool("ingest_load", d.port, "bench", b.corpus.text, "text/plain", 8, REQUEST_LINES)
    out, port = os.path.join(b.folder, "rsyslog.out"), free_port()
    conf = os.path.join(b.folder, "rsyslog.conf")
    with open(conf, "w") as f:
        f.write(f'global(workDirectory="{b.folder}" maxMessageSize="64k")\nmodule(load="imtcp")\ntemplate(name="raw" type="string" string="%rawmsg%\\n")\n'
                f'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="r" supportOctetCountedFraming="off")\n'
                f'ruleset(name="r" queue.type="LinkedList" queue.size="200000") {{ action(type="omfile" file="{out}" template="raw" ioBufferSize="64k") }}\n')
    p = subprocess.Popen(["rsyslogd", "-n", "-f", conf, "-i", os.path.join(b.folder, "rsyslog.pid")], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"], stderr=subprocess.DEVNULL).returncode == 0, 20, "rsyslogd listens")
        start = time.monotonic()
        subprocess.run(["bash", "-c", f"cat {b.corpus.text} >/dev/tcp/127.0.0.1/{port}"], check=True)
        size, grew = [0], [start]

        def has_ended():  # nothing more came for 3 s: it pauses now and then
            now = os.path.getsize(out) if os.path.exists(out) else 0
            if now != size[0]:
                size[0], grew[0] = now, time.monotonic()
            return now and time.monotonic() - grew[0] > 3

        wait_for(has_ended, 120, "rsyslogd has written")
        took, used = grew[0] - start, cpu_s(p.pid)
        with open(out, "rb") as f:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
    finally:
        p.terminate()
        p.wait(20)
        if os.path.exists(out):
            os.remove(out)
    assert lines >= 0.99 * b.corpus.lines, lines
    million = b.corpus.lines / 1e6
    return [
        Figure("lines/s", got["lines_s"], "", None, ("rsyslog", lines / took)),
        Figure("CPU per million lines", (m.joblogd_s + m.redis_s) / million, "s", None, ("rsyslog", used / lines * 1e6)),
    ]


def row_small_requests(b):
    """One line a request on 64 connections, class `accepted`."""
    requests = 200_000 if not b.quick else 40_000
    with Joblogd("--durability", "accepted") as d:
        with Meter(d) as m:
            got = tool("ingest_load", d.port, "small", b.corpus.text, "text/plain", 64, 1, requests)
        assert d.job("small")["lines"] == requests
    with Nginx() as n:
        nchan = tool("ingest_load", n.port, "/pub/small", b.corpus.text, "text/plain", 64, 1, requests)
    return [
        Figure("requests/s", got["requests_s"], "", (">=", 40e3), ("nchan", nchan["requests_s"])),
        Figure("request p99", got["p99_us"] / 1e3, "ms", None, ("nchan", nchan["p99_us"] / 1e3)),
        Figure("CPU per million requests", (m.joblogd_s + m.redis_s) / requests * 1e6, "s"),
    ]


def row_jobs(b):
    """Cost as jobs grow: 200,000 lines, 50 a request, over so many live jobs."""
    figures = []
    for jobs in (1, 100, 10_000) if not b.quick else (1, 100):
        with Joblogd("--durability", "accepted") as d:
            with Meter(d) as m:
                tool("ingest_load", d.port, f"many*{jobs}", b.corpus.text, "text/plain", 8, 50, 4000 if jobs <= 4000 else jobs)
            lines = 50 * (4000 if jobs <= 4000 else jobs)
            figures.append(Figure(f"{jobs:,} jobs, CPU per million lines", (m.joblogd_s + m.redis_s) / lines * 1e6, "s"))
            figures.append(Figure(f"{jobs:,} jobs, memory", m.peak_mb, "MB"))
    return figures


def row_line_length(b):
    """Cost as lines grow: 64 MB of text in lines of so many bytes."""
    figures = []
    for size in (20, 200, 2_000, 64_000):
        path = os.path.join(b.folder, f"lines-{size}.text")
        with open(b.corpus.text, "rb") as src, open(path, "wb") as f:
            stock = src.read(8 << 20).replace(b"\n", b" ")
            for k in range((64 << 20) // size):
                at = k * 131 * size % (len(stock) - size)
                f.write(stock[at:at + size - 1] + b"\n")
        with Joblogd("--durability", "accepted") as d:
            with Meter(d) as m:
                got = tool("ingest_load", d.port, "long", path, "text/plain", 8, max(1, 65536 // size))
        os.remove(path)
        figures.append(Figure(f"{size:,} bytes, MB/s", got["bytes"] / got["seconds"] / 1e6, ""))
        figures.append(Figure(f"{size:,} bytes, CPU per GB", (m.joblogd_s + m.redis_s) / got["bytes"] * 1e9, "s"))
    return figures


def row_ranks(b):
    """Cost as ranks grow: 500,000 lines of so many ranks."""
    figures = []
    for ranks in (1, 8, 64, 1024):
        path = os.path.join(b.folder, f"ranks-{ranks}.ndjson")
        with open(b.corpus.text, "rb") as src, open(path, "wb") as f:
            for k in range(500_000 if not b.quick else 50_000):
                msg = src.readline().rstrip(b"\n")[:120].replace(b"\\", b"/").replace(b'"', b"'")
                f.write(b'{"ts":%d,"rank":%d,"msg":"%s"}\n' % (1_763_931_241_000_000 + k * 50, k % ranks, bytes(c for c in msg if c >= 32)))
        with Joblogd("--durability", "accepted") as d:
            with Meter(d) as m:
                got = tool("ingest_load", d.port, "ranks", path, "application/x-ndjson", 8, REQUEST_LINES)
            assert len(d.job("ranks")["by_rank"]) >= min(ranks, 8)
        os.remove(path)
        figures.append(Figure(f"{ranks:,} ranks, CPU per million lines", (m.joblogd_s + m.redis_s) / got["lines"] * 1e6, "s"))
    return figures
