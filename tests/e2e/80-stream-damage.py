"""tests/e2e/80-stream-damage.py -- what Redis holds damaged is told as a gap and stops nobody."""
import json
import threading

from harness import Joblogd, tail_records, wait_for

KEY = "{default/hurt}"


def add_damaged(d, seq, header="1"):
    """An entry that ends at seq and cannot be read, as a flipped bit in the AOF would leave it."""
    d.redis_cli("XADD", f"jl:{KEY}:log", f"{seq}-0", "h", header, "d", "x")
    d.redis_cli("HSET", f"jl:{KEY}:meta", "seq", str(seq))
    d.redis_cli("PUBLISH", f"jl:{KEY}:bell", str(seq))


def test_a_damaged_entry_is_a_gap_for_everybody():
    """A live follower, a late one, a range read and the archive pass over a damaged entry with an explicit gap; it is
    counted and logged once, and the job ends and settles."""
    with Joblogd("--segment-age", "1s", "--drain-time", "500ms") as d:
        assert d.post_lines("hurt", ["one", "two", "three"]).status == 200
        live = {}
        seen = threading.Event()

        def saw(m):
            if m["type"] == "lines" and any(r["msg"] == "three" for r in m["lines"]):
                seen.set()
            return False

        follower = threading.Thread(target=lambda: live.update(out=d.tail_ws("hurt", until=saw)))
        follower.start()
        assert seen.wait(10)
        add_damaged(d, 5)
        assert d.post_lines("hurt", ["six", "seven"]).status == 200
        assert d.event("hurt", "COMPLETED").status == 200  # 8
        follower.join(20)
        messages, code, _ = live["out"]
        assert code == 1000 and messages[-1]["type"] == "end", messages
        gaps = [m for m in messages if m["type"] == "gap"]
        assert [(g["from"], g["to"]) for g in gaps] == [(4, 5)], messages
        assert [r["seq"] for r in tail_records(messages)] == [1, 2, 3, 6, 7, 8], messages
        assert d.metric("joblog_redis_unreadable_total") == 1
        assert len(d.logged("an entry in redis cannot be read")) == 1
        wait_for(lambda: d.job("hurt")["archived_upto"] == 8, 20, "archived")
        got = [r.get("seq", r) for r in d.records("hurt")]
        assert got == [1, 2, 3, {"gap": {"from": 4, "to": 5, "reason": "missing"}}, 6, 7, 8], got
        late, code, _ = d.tail_ws("hurt")
        assert code == 1000 and [(m["from"], m["to"]) for m in late if m["type"] == "gap"] == [(4, 5)], late
        assert d.metric("joblog_archive_lost_records_total") == 2


def test_a_damaged_last_entry_does_not_hold_back_the_end():
    """The last entry of a job is damaged: followers still get the gap and then end."""
    with Joblogd("--drain-time", "500ms") as d:
        assert d.post_lines("hurt", ["one"]).status == 200
        assert d.event("hurt", "COMPLETED").status == 200  # 2
        add_damaged(d, 4, header="nonsense")
        d.redis_cli("HSET", f"jl:{KEY}:meta", "sealed", "1", "sealed_seq", "4", "sealed_us", "1", "complete", "1",
                    "missing", "[]")
        messages, code, _ = d.tail_ws("hurt")
        assert [(m["from"], m["to"]) for m in messages if m["type"] == "gap"] == [(3, 4)], messages
        assert code == 1000 and messages[-1]["type"] == "end", json.dumps(messages)
