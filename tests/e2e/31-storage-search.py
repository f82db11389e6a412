"""tests/e2e/31-storage-search.py -- GET /search over a log that lies in archive and Redis."""
import http.client
import json
import os
import re
import select
import signal
import time
import urllib.parse

from harness import PATIENCE, Joblogd, wait_for

d = None
LINES = 60000


def setup():
    global d
    d = Joblogd("--segment-bytes", "1MiB", "--hot-bytes", "256KiB", "--segment-age", "1s")
    rows = []
    for i in range(1, LINES + 1):
        word = "needle" if i % 777 == 0 else "rare-%d" % i if i in (5, 31000, LINES - 3) else "hay"
        rows.append({"msg": f"step {i} {word} in the stack", "rank": i % 8, "level": "error" if i % 1000 == 0 else "info"})
    for i in range(0, LINES, 10000):
        assert d.post_lines("big", rows[i:i + 10000]).status == 200
    wait_for(lambda: d.job("big")["archived_upto"] > LINES // 2, 30, "most is archived")


def teardown():
    d.close()


def search(query):
    r = d.get(f"/v1/jobs/big/search?{query}", timeout=60)
    assert r.status == 200, r
    messages = [json.loads(x) for x in r.text.splitlines()]
    assert messages[-1]["type"] == "done" and all(m["type"] != "done" for m in messages[:-1])
    return [m for m in messages if m["type"] == "hit"], messages[-1]


def test_the_same_as_logs():
    """Hits are exactly the lines /logs finds, wherever they lie; counts by place add up to them."""
    for query in ("q=needle", "q=NEEDLE&case=0", "re=rare-\\d%2B", "level=error&rank=0", "q=in%20the&rank=3&after=100&before=9000"):
        hits, done = search(query + "&limit=10000&buckets=50")
        want = [r["seq"] for r in d.records("big", query + "&states=0")]
        assert [h["seq"] for h in hits] == want, (query, len(hits), len(want))
        assert done["hits"] == len(want) and sum(done["buckets"]) == len(want) and len(done["buckets"]) == 50
        span = done["to"] - done["from"] + 1
        counts = [0] * 50
        for seq in want:
            counts[(seq - done["from"]) * 50 // span] += 1
        assert done["buckets"] == counts, query
    hit = search("q=needle")[0][0]
    record = d.records("big", "q=needle&limit=1")[0]
    assert (hit["ts"], hit["rank"], hit["level"]) == (record["ts"], record["rank"], record["level"])


def test_patterns_find_what_python_finds():
    """Alternatives, groups, anchors and flags over archive and Redis: the very lines that Python's re finds in all of them."""
    everything = [(r["seq"], r["msg"]) for r in d.records("big") if "msg" in r]
    for pattern, flags in (("rare-\\d+|needle in", 0), ("step (777|31000) ", 0), ("STEP 1.* Needle", re.I), ("^step 9\\d{3} needle", 0),
                           ("(rare-5 |nowhere)", 0), ("needle.*nowhere|rare-\\d{5} .*stack$", 0), ("x|nowhere", 0), ("step [0-9]5 hay|rare", 0)):
        args = urllib.parse.urlencode({"re": pattern, "case": 0 if flags else 1, "limit": 10000})
        want = [seq for seq, msg in everything if re.search(pattern, msg, flags)]
        hits, done = search(args)
        assert [h["seq"] for h in hits] == want[:10000] and done["hits"] == len(want), (pattern, len(hits), len(want))


def test_more_hits_than_told():
    """limit bounds what is told one by one, not what is counted."""
    hits, done = search("q=stack&limit=10")
    assert [h["seq"] for h in hits] == list(range(1, 11)) and done["hits"] == LINES


def test_rank_none():
    """rank=none is the lines without a rank, alone and in a list."""
    d.post_lines("norank", [{"msg": "a"}, {"msg": "b", "rank": 1}, {"msg": "c", "rank": 2}, {"msg": "d"}])
    assert [r["msg"] for r in d.records("norank", "rank=none&states=0")] == ["a", "d"]
    assert [r["msg"] for r in d.records("norank", "rank=none,2-9&states=0")] == ["a", "c", "d"]
    assert d.get("/v1/jobs/norank/logs?rank=nobody").status == 400


def test_rare_words_are_found_without_reading_all():
    """A word that is nowhere costs far less than one that is everywhere: frames are skipped by their grams."""
    def took(query):
        best = 9.0
        for _ in range(3):
            started = time.monotonic()
            search(query)
            best = min(best, time.monotonic() - started)
        return best
    nowhere, everywhere = took("q=zyxwvut"), took("q=stack&limit=1")
    assert nowhere < everywhere / 2, (nowhere, everywhere)


def test_leaving_ends_it():
    """A client that goes away in the middle leaves no search and no reader behind; the next one is served."""
    for _ in range(20):
        c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=10)
        c.request("GET", "/v1/jobs/big/search?re=s.*[xyz]q")
        c.close()
    started = time.monotonic()
    assert search("q=needle")[1]["hits"] == LINES // 777
    assert time.monotonic() - started < 5 * PATIENCE


def test_a_stop_under_readers():
    """A node stops while its workers still read for clients that have just gone: a clean end, every time (sanitizers look)."""
    for _ in range(10):
        node = Joblogd("--redis", f"unix://{d.redis_socket()}", "--archive", os.path.join(d.data, "archive"))  # no Redis of its own to stop
        gone = []
        for n in range(8):
            c = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
            c.request("GET", "/v1/jobs/big/search?re=s.*[xyz]q" if n % 2 else "/v1/jobs/big/logs?tail=all")
            gone.append(c)
        wait_for(lambda: select.select([c.sock for c in gone], [], [], 0)[0], 10, "they are served")
        for c in gone:
            c.close()
        with node:
            assert node.kill(signal.SIGTERM, 30) == 0, node.log[-10:]
