"""tests/e2e/22-stream-sentinel.py -- Redis under real sentinels: joblogd follows the master, and is not restarted."""
import signal
import subprocess
import tempfile
import threading
import time

from harness import JOBLOGD, Joblogd, free_port, tail_records, wait_for
from redis_servers import Group

LINE = "w0:{}"


def send(d, job, first, count, deadline_s=40):
    """Lines first..first+count-1 of a producer with sequence numbers: sent until they are taken, from where the answer says."""
    end, last = time.monotonic() + deadline_s, first + count - 1
    while first <= last:
        assert time.monotonic() < end, f"{job}: not taken from {first} on"
        body = "".join(LINE.format(i) + "\n" for i in range(first, last + 1))
        r = d.post(f"/v1/jobs/{job}/logs?rank=0", body, {"Content-Type": "text/plain", "X-Producer": "w0", "X-Epoch": "1", "X-Sequence": str(first)})
        if r.status == 200:
            return r.json()
        if r.status == 409:
            first = r.json()["expected"]
        else:
            assert r.status == 503, r
            time.sleep(0.05)
    return None


class Reader(threading.Thread):
    """Follows a job from a cursor on, to a reset or the end; made when it has been greeted."""

    def __init__(self, d, job, cursor):
        super().__init__(daemon=True)
        self.d, self.job, self.cursor, self.types = d, job, cursor, []
        self.start()
        wait_for(lambda: self.types, 20, "the tail is greeted")

    def hear(self, message):
        self.types.append(message["type"])
        return message["type"] in ("reset", "end")

    def run(self):
        self.d.tail_ws(self.job, f"after={self.cursor}", deadline_s=60, until=self.hear)

    def last(self):
        self.join()
        return self.types[-1]


def clients(server):
    """How many connections joblogd has there: requests, bells."""
    text = server.cli("CLIENT", "LIST")
    return text.count(" name=joblog "), text.count(" name=joblog-bell ")


def test_failovers_without_a_restart():
    """The master is killed, then the next one only hangs: joblogd goes on with the new one each time, all its connections, nothing that
    was acknowledged is lost or there twice; who reads is told `reset`, and reads all of it."""
    with Group() as g, Joblogd("--durability", "replicated", "--redis", g.url.replace("127.0.0.1", "localhost", 1)) as d:
        pid, last = d.pid, 0
        for way in ("kill", "stop"):
            send(d, "j", last + 1, 500)
            reader = Reader(d, "j", d.job("j")["cursor"])
            assert clients(g.master) == (2, 2)
            getattr(g, way)()
            g.wait_moved()
            send_late = threading.Thread(target=send, args=(d, "j", last + 501, 500))
            send_late.start()  # no replica yet: not acknowledged
            wait_for(lambda: clients(g.replica) == (2, 2), 15, "all connections have moved")
            g.come_back(by_hand=False)
            send_late.join()
            last += 1000
            wait_for(lambda: d.is_ready(), 30, "ready, with a replica")
            assert reader.last() == "reset"
            g.wait_whole()
            assert clients(g.replica) == (0, 0), "something stays with the old master"
        assert d.pid == pid and d.is_ready()
        d.event("j", "COMPLETED")
        d.post("/v1/jobs/j/logs", "", {"X-Producer": "w0", "X-Epoch": "1", "X-Producer-Fin": str(last)})
        records = tail_records(d.tail_ws("j", deadline_s=60)[0])
        assert [r["msg"] for r in records if "msg" in r and "state" not in r] == [LINE.format(i) for i in range(1, last + 1)]
        assert d.logged("redis was started again or taken over"), d.log[-5:]


def test_a_look_costs_little_when_sentinels_are_gone():
    """The first is a name that nobody knows, the second a closed port: the third tells, within two seconds; when all are gone what is
    connected stays, and readyz says nothing; without any it says which was asked."""
    with Group() as g:
        live = g.url.rsplit("@", 1)[1].split(",")[0]
        url = f"redis+sentinel://jl:lines@no.such.host.invalid:1,127.0.0.1:{free_port()},{live}/jobs"
        with Joblogd("--redis", url, start=False) as d:
            begun = time.monotonic()
            d.start()
            assert time.monotonic() - begun < 5, "sentinels that are gone hold it up"
            for s in g.sentinels:
                s.proc.send_signal(signal.SIGSTOP)
            ends = time.monotonic() + 3
            while time.monotonic() < ends:  # no sentinel, and a master that is well: nothing is left
                assert d.post_lines("j", ["x"]).status == 200
            assert clients(g.master) == (2, 2)
            d.kill(signal.SIGTERM)
            d.start(ready=False)
            why = wait_for(lambda: (lambda r: r.status == 503 and "sentinel" in r.text and r.text)(d.get("/readyz")), 10, "why")
            assert "127.0.0.1" in why or "no.such.host" in why, why
            for s in g.sentinels:
                s.proc.send_signal(signal.SIGCONT)
            wait_for(d.is_ready, 20, "ready again")


def test_passwords_of_both():
    """The password of Redis is not the sentinels': theirs is an option of the URL."""
    with Group(sentinel_secret="se&cret") as g:
        with Joblogd("--redis", g.url, start=False) as d:
            d.start(ready=False)
            wait_for(lambda: "NOAUTH" in d.get("/readyz").text, 10, "readyz says that a sentinel wants a password")
            assert "lines" not in d.get("/readyz").text
        with Joblogd("--redis", g.url + "?sentinel_password=se%26cret") as d:
            assert d.post_lines("j", ["x"]).status == 200


def test_bad_urls_are_refused_at_the_start():
    """Exit code and a sentence that says what and where; a password is never in it."""
    for url, words in (("redis+sentinel://h:1", "lacks the name"), ("redis+sentinel://:secret@h:1,x:y/m", "sentinel 2"),
                       ("redis-sentinel://h:1#m", "redis+sentinel://")):
        with tempfile.TemporaryDirectory(prefix="jl-url-") as where:
            p = subprocess.run([JOBLOGD, "--listen", "127.0.0.1:0", "--data", where, "--redis", url], capture_output=True, text=True, timeout=20, check=False)
        assert p.returncode != 0 and words in p.stderr and "secret" not in p.stderr, p.stderr
