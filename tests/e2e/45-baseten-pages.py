"""tests/e2e/45-baseten-pages.py -- windows, pages and milliseconds of the Baseten view, beside a plain list."""
import glob
import itertools
import json
import os
import random
import re
import time

from baseten_clients import MS, Golang, Truss, plant
from harness import Joblogd, wait_for

d = None
NOW_US = int(time.time()) * 1_000_000
HOUR = 3_600_000_000


def setup():
    global d
    d = Joblogd("--segment-bytes", "64KiB", "--hot-bytes", "24KiB", "--segment-age", "1s", "--drain-time", "300ms",
                "--settle-level", "0")


def teardown():
    d.close()


def logs(job, project="default", **window):
    """E4; the lines as (ns, message), newest first unless asked otherwise."""
    r = d.post(f"/v1/training_projects/{project}/jobs/{job}/logs", window, timeout=60)
    assert r.status == 200, r
    return [(int(x["timestamp"]), x["message"]) for x in r.json()["logs"]]


def make_frames(rng, count, start_us):
    """Frames of a busy and then a silent job: bursts inside a millisecond, long frames, silences of hours."""
    frames, us, n, silences = [], start_us, 0, 0
    while n < count:
        us += rng.choice([1, 3, 40, 400, 900, 5_000, 70_000, 2_000_000])
        if n // 1200 > silences:
            silences += 1
            us += 3 * HOUR + 1
        size = rng.choice([1, 1, 1, 2, 5, 30, 300]) if rng.random() < 0.97 else 2500
        lines = [(f"line {n + i} {'x' * rng.randrange(60)}", rng.choice(["none", "info", "info", "warn", "error"]))
                 for i in range(size)]
        frames.append((us, lines))
        us += (size + 999) // 1000
        n += size
    return frames


SEVERITY = {"none": -1, "info": 3, "warn": 4, "error": 5}


def expected(records, start=None, end=None, limit=None, direction="desc", min_level=None):
    """The rules, by walking a list."""
    rows = [(ns, m) for ns, m, l in records if min_level is None or SEVERITY[l] >= {"WARNING": 4, "ERROR": 5}[min_level]]
    end_is_open = end is None or (limit is None and end > time.time() * 1000 - 600_000)
    a = 0 if start is None else start * MS
    b = (1 << 62) if end_is_open else (end + 1) * MS - 1
    every = [(ns, m) for ns, m, _ in records if a <= ns]
    if not [1 for ns, _ in every if ns <= b] and (direction == "asc" or start is None):
        b = 1 << 62
    rows = [r for r in rows if a <= r[0] <= b]
    if direction == "desc":
        rows.reverse()
    if direction == "desc" and limit and 1 < limit <= len(rows) and end is not None and {ns // MS for ns, _ in rows} == {end}:
        return rows[:limit - 1]  # its reader has had it
    if limit is None or len(rows) <= limit:
        return rows
    page, kinds = [], []
    for r in rows:
        ms = r[0] // MS
        if not kinds or kinds[-1] != ms:
            if len(page) >= limit and len(kinds) >= 2:
                break
            kinds.append(ms)
        page.append(r)
    return page


def check_windows(job, records, rng, count):
    for _ in range(count):
        ms = records[rng.randrange(len(records))][0] // MS
        other = records[rng.randrange(len(records))][0] // MS
        ask = {}
        if rng.random() < 0.7:
            ask["start"] = min(ms, other) + rng.choice([-1, 0, 0, 1, 7_200_000])
        if rng.random() < 0.7:
            ask["end"] = max(ms, other) + rng.choice([-1, 0, 0, 1])
            if "start" in ask and rng.random() < 0.4:
                ask["end"] = ask["start"] + rng.choice([-1, 0, 1, 5, 7_200_000])
        if rng.random() < 0.7:
            ask["limit"] = rng.choice([1, 2, 7, 100, 1000])
        if rng.random() < 0.7:
            ask["direction"] = rng.choice(["asc", "desc"])
        if rng.random() < 0.3:
            ask["min_level"] = rng.choice(["WARNING", "ERROR"])
        if rng.random() < 0.1:  # the oldest of a window, once more
            ask.update(start=ms, end=ms, direction="desc")
        names = {"start": "start_epoch_millis", "end": "end_epoch_millis"}
        got = logs(job, **{names.get(k, k): v for k, v in ask.items()})
        want = expected(records, **ask)
        assert got == want, (ask, len(got), len(want), got[:2], want[:2], got[-2:], want[-2:])


def test_windows_in_redis():
    """Any window, limit, direction and level gives what a walk over a list gives, while all lies in Redis."""
    rng = random.Random(1)
    records = plant(d, "win", make_frames(rng, 3000, NOW_US - 400 * HOUR))
    r = d.redis_cli("ZREM", "jl:hot", "default/win")  # the archiver does not see it
    assert r.strip() == "1"
    check_windows("win", records, rng, 120)


def test_every_window_of_a_small_log():
    """Each window, limit and direction over a handful of milliseconds, with and without a filter."""
    us, frames = NOW_US - 3 * HOUR, []
    for ms, count in ((0, 3), (1, 2), (2, 4), (4, 1), (5, 2)):
        frames.append((us + ms * 1000, [(f"{ms}.{i}", "error" if i % 2 else "info") for i in range(count)]))
    records = plant(d, "small", frames)
    ends = [us // 1000 + ms for ms in range(-1, 7)]
    for start, end, limit, direction, level in itertools.product([None, *ends[1:-1]], [None, *ends], range(1, 8), ("asc", "desc"), (None, "ERROR")):
        ask = {"start": start, "end": end, "limit": limit, "direction": direction, "min_level": level}
        names = {"start": "start_epoch_millis", "end": "end_epoch_millis"}
        if start and end and start > end:
            continue
        got = logs("small", **{names.get(k, k): v for k, v in ask.items()})
        assert got == expected(records, **ask), (ask, got, expected(records, **ask))


def test_windows_over_redis_and_archive():
    """The same answers, to the nanosecond, when most of the log is archived, and when all of it is."""
    rng = random.Random(2)
    records = plant(d, "arch", make_frames(rng, 6000, NOW_US - 500 * HOUR))
    job = wait_for(lambda: (lambda j: j if j["held_from"] > 1000 else None)(d.job("arch")), 30, "mostly archived")
    assert job["held_from"] <= job["seq"]
    check_windows("arch", records, rng, 120)
    done = plant(d, "cold", make_frames(rng, 3000, NOW_US - 300 * HOUR), state="COMPLETED")
    wait_for(lambda: d.job("cold")["held_from"] > d.job("cold")["seq"], 30, "all archived")
    assert len(glob.glob(os.path.join(d.data, "archive", "default", "cold", "*.zst"))) >= 1
    check_windows("cold", done, rng, 80)
    d.restart()
    check_windows("arch", records, rng, 30)
    check_windows("cold", done, rng, 30)


def test_clients_get_all_of_it():
    """Both clients' downloads are the whole job: over silences of three hours, bursts in one millisecond, the archive."""
    rng = random.Random(3)
    records = plant(d, "all", make_frames(rng, 5000, NOW_US - 600 * HOUR), state="COMPLETED")
    want = [(ns, m) for ns, m, _ in records]
    assert max(b[0] - a[0] for a, b in zip(want, want[1:])) > 3 * HOUR * 1000
    for limit in (1000, 37):
        assert Truss(d.port).logs("all", limit=limit) == want, limit
        assert Golang(d.port).logs("all", want[0][0] // MS, page=limit) == want[::-1], limit
    wait_for(lambda: d.job("all")["held_from"] > d.job("all")["seq"], 30, "all archived")
    assert Truss(d.port).logs("all") == want
    assert Golang(d.port, scheme="Bearer").logs("all", want[0][0] // MS, page=200) == want[::-1]


def test_a_three_hour_silence():
    """A silence longer than the client's window of two hours does not end its download."""
    us = NOW_US - 10 * HOUR
    records = plant(d, "silent", [(us, [("before", "info")]), (us + 3 * HOUR, [("after", "info")])])
    assert Truss(d.port).logs("silent") == [(ns, m) for ns, m, _ in records]


def test_identical_lines_of_one_batch():
    """Identical lines sent in one nanosecond stay apart: unique times, all of them shown."""
    assert d.post_lines("same", [{"msg": "same", "ts": "2026-01-01T00:00:00.000000001Z"}] * 2500).status == 200
    printed = Truss(d.port).logs("same")
    times = [ns for ns, _ in printed]
    assert len(printed) == 2500 and times == sorted(set(times)), len(printed)
    assert len(logs("same")) == 2500


def test_a_log_that_begins_with_a_burst():
    """The first millisecond of a log, or of a window, holds pages of lines: the Go client, which asks for it twice, is told the end."""
    for count in (999, 1000, 1001, 2500):
        job = f"burst{count}"
        assert d.post_lines(job, [{"msg": f"b{i}", "level": "error" if i % 2 else "info"} for i in range(count)]).status == 200
        for page in (1000, 500, count - 1, count, count + 1, 2):
            if page > 1000:
                continue
            got = [m for _, m in Golang(d.port).logs(job, page=page)]
            assert got == [f"b{i}" for i in range(count - 1, -1, -1)], (count, page, len(got))
            assert len(Golang(d.port).logs(job, page=min(page, 400), min_level="error")) == count // 2, (count, page)
    first = logs(job)[-1][0] // MS
    d.post_lines(job, ["later"])
    got = Golang(d.port).logs(job, since_ms=first - 5, page=1000)
    assert [m for _, m in got][:2] == ["later", "b2499"] and len(got) == 2501
    assert len(logs(job, end_epoch_millis=first)) == 2501, "without a limit all of it"


def test_late_lines_fall_into_the_window():
    """A line whose producer's time is hours old is received now: a poller of the last minute sees it."""
    d.post_lines("late", ["first"])
    now = int(time.time() * 1000)
    old = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7200))
    d.post_lines("late", [{"msg": "late", "ts": old}])
    got = logs("late", start_epoch_millis=now - 60_000, end_epoch_millis=now + 60_000)
    assert "late" in [m for _, m in got], got


def test_never_empty_and_open_end():
    """Without a start there is always something to show; an end within minutes of now is open; a clock that is ahead does no harm."""
    d.post("/v1/jobs", {"id": "nolines"})
    assert [m for _, m in logs("nolines", end_epoch_millis=int(time.time() * 1000) + 60_000)] == ["TRAINING_JOB_CREATED"]
    assert [m for _, m in logs("nolines", end_epoch_millis=1_000)] == ["TRAINING_JOB_CREATED"]
    d.post_lines("nolines", ["now"])
    behind = int(time.time() * 1000) - 240_000  # a client whose clock is four minutes behind
    assert [m for _, m in logs("nolines", start_epoch_millis=behind - 60_000, end_epoch_millis=behind)][0] == "now"
    ahead = int(time.time() * 1000) + 300_000  # one whose clock is five minutes ahead, in its second poll
    assert [m for _, m in logs("nolines", start_epoch_millis=ahead - 62_000, end_epoch_millis=ahead + 60_000)][0] == "now"
    assert logs("nolines", start_epoch_millis=ahead - 62_000, end_epoch_millis=ahead + 60_000, limit=10) == []
    assert logs("nolines", start_epoch_millis=ahead, end_epoch_millis=ahead + 3_600_000) == []  # no poller's window
    assert logs("nolines", start_epoch_millis=int(time.time() * 1000) + 3_600_000) == []


def test_the_budget_keeps_the_newest():
    """Without a limit at most about 16 MB come back: the newest lines, whole milliseconds, in either direction."""
    us = NOW_US - 5 * HOUR
    frames = [(us + i * 350, [(f"{i} " + "y" * 5000, "info")] * 1) for i in range(3700)]
    records = plant(d, "big", frames)
    got = logs("big")
    assert 15 << 20 < sum(len(m) + 60 for _, m in got) < 18 << 20, len(got)
    want = [(ns, m) for ns, m, _ in records][-len(got):]
    assert got == want[::-1]
    assert records[-len(got) - 1][0] // MS != got[-1][0] // MS, "a millisecond was split"
    up = logs("big", direction="asc")
    assert up == [(ns, m) for ns, m, _ in records][-len(up):] and len(up) > 2000
    assert records[-len(up) - 1][0] // MS != up[0][0] // MS, "a millisecond was split"


def test_turning_a_page_of_a_running_job_loses_nothing():
    """Lines that arrive while a client turns its page are on the next one, though they share a millisecond."""
    import threading
    stop, sent = threading.Event(), []

    def writer(k):
        i = 0
        while not stop.is_set():
            rows = [f"w{k} {i + j}" for j in range(3)]
            if d.post_lines("turn", rows).status == 200:
                sent.extend(rows)
            i += 3

    d.post_lines("turn", ["begin"])
    # A node whose clock is ahead has written before: all that follows crowds into few milliseconds.
    d.redis_cli("HSET", "jl:{default/turn}:meta", "recv_next_us", str(int(time.time() * 1_000_000) + 3_600_000_000))
    threads = [threading.Thread(target=writer, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    client = Truss(d.port)
    found = client.find("turn")
    printed, start, until = [], 0, time.monotonic() + 1.5
    while time.monotonic() < until:
        page = client.call("POST", client.base(found) + "/logs",
                           {"start_epoch_millis": start, "end_epoch_millis": start + 7_200_000, "limit": 5, "direction": "asc"})["logs"]
        printed += [x["message"] for x in page]
        if page:
            start = int(page[-1]["timestamp"]) // MS + 1
    stop.set()
    for t in threads:
        t.join()
    while True:
        page = client.call("POST", client.base(found) + "/logs",
                           {"start_epoch_millis": start, "end_epoch_millis": start + 7_200_000, "limit": 1000, "direction": "asc"})["logs"]
        if not page:
            break
        printed += [x["message"] for x in page]
        start = int(page[-1]["timestamp"]) // MS + 1
    assert len(printed) == len(set(printed)) and set(sent) | {"begin"} == set(printed), (len(sent), len(printed))


def test_lost_records_show_as_a_line():
    """What the archive has lost is said where it was, not passed over."""
    rng = random.Random(5)
    records = plant(d, "hurt", make_frames(rng, 12000, NOW_US - 700 * HOUR), state="COMPLETED")
    wait_for(lambda: d.job("hurt")["held_from"] > d.job("hurt")["seq"], 30, "all archived")
    victim = sorted(glob.glob(os.path.join(d.data, "archive", "default", "hurt", "*.zst")))[1]
    with open(victim, "r+b") as f:
        f.seek(200)
        b = f.read(1)
        f.seek(200)
        f.write(bytes([b[0] ^ 0x40]))
    kept = {(ns, m) for ns, m, _ in records}
    for got in (Truss(d.port).logs("hurt"), Truss(d.port).logs("hurt", limit=50),
                Golang(d.port).logs("hurt", records[0][0] // MS)[::-1], logs("hurt")[::-1]):
        lost = [m for _, m in got if "are lost" in m]
        pieces = [tuple(map(int, re.search(r"records (\d+)-(\d+) are lost: corrupt", m).groups())) for m in lost]
        assert pieces and all(a[1] + 1 == b[0] for a, b in zip(pieces, pieces[1:])), pieces
        first, last = pieces[0][0], pieces[-1][1]
        assert last - first > 300
        times = [ns for ns, _ in got]
        assert times == sorted(set(times))
        assert all((ns, m) in kept for ns, m in got if "are lost" not in m)
        assert len(got) == len(records) - (last - first + 1) + len(pieces)


def test_bad_windows_are_refused_with_a_sentence():
    """Nonsense is a 400 whose message a client can print; unknown names pass."""
    base = "/v1/training_projects/default/jobs/same/logs"
    for body in ({"limit": 0}, {"limit": "x"}, {"limit": 1.5}, {"direction": "up"}, {"start_epoch_millis": -1},
                 {"end_epoch_millis": 1 << 60}, {"min_level": "loud"}):
        r = d.post(base, body)
        assert r.status == 400 and set(r.json()) == {"code", "message"}, (body, r)
    assert d.post(base, b"[1]", {"Content-Type": "application/json"}).status == 400
    assert d.get(base + "?limit=1&direction=asc&of_tomorrow=1").status == 200
    assert d.get(base + "?limit=-1").status == 400
    r = d.get("/v1/training_projects/default/jobs/none/logs")
    assert r.status == 404 and json.loads(r.body)["message"], r
