"""tests/fault/faults.py -- the faults: how the stand is built for each, what is done to it, what must be seen besides.

A fault is injected by inject(stand, rng, row) -> True when it happened. settle(stand) takes it back before the jobs end.
FAULTS lists them by name; each name is what `tests/fault/torture.py --fault NAME` takes.
"""
import errno
import os
import signal
import threading
import time
import unittest

from harness import wait_for
from stand import CLOCK, DELAY, HITS, SYNC_ERRNO, WRITE_ERRNO, Stand


SEEN_S = 20  # for something to meet a fault


class Fault:
    name, sentence = "none", "no fault at all: the checker's own control"
    args, shims, redis_args = (), False, ""
    may_reset = False   # history may be lost: a reset is no anomaly
    calm_s = 0          # after settle(), until what is acknowledged is durable
    epochs = True       # producers come back as a new epoch now and then
    lasts_s = 0         # how long an injection lasts
    round_faults = 0

    def stand(self):
        return Stand(*self.args, shims=self.shims, redis_args=self.redis_args)

    def ready(self, stand):
        """Returns when the stand is whole again after the last injection."""

    def inject(self, stand, rng, row):
        time.sleep(0.5)
        return True

    def settle(self, stand):
        pass

    def judge(self, stand, row):
        pass


class KillJoblogd(Fault):
    name, sentence = "kill-joblogd", "kill -9 of joblogd at a random moment"

    def inject(self, stand, rng, row):
        stand.kill_joblogd()
        return True


class KillRedis(Fault):
    name, sentence = "kill-redis", "kill -9 of Redis, appendfsync always"

    def inject(self, stand, rng, row):
        return stand.kill_redis()


class KillBoth(Fault):
    name, sentence = "kill-both", "kill -9 of joblogd and Redis at once"

    def inject(self, stand, rng, row):
        stand.kill_both()
        return True


class KillStopped(KillBoth):
    """What was acknowledged while Redis did nothing would be lost now."""
    name, sentence = "kill-stopped", "Redis stopped for 0.1 s under load, then kill -9 of both"

    def inject(self, stand, rng, row):
        pid = stand.redis_alive()
        if not pid:
            return False
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        return super().inject(stand, rng, row)


class SlowFsync(Fault):
    """Class accepted: what Redis had acknowledged is rolled back, producers rewind, nothing that was durable is lost."""
    name, sentence = "slow-fsync", "kill -9 of Redis, everysec, every fdatasync delayed by 800 ms, class accepted"
    args, shims, may_reset, calm_s = ("--durability", "accepted"), True, True, 4
    UNWRITTEN = 16 << 10

    def inject(self, stand, rng, row):
        self.hold_back(stand)
        return stand.kill_redis()

    def hold_back(self, stand):
        stand.aof.set(DELAY, 800000)
        wait_for(lambda: self.unwritten(stand) >= self.UNWRITTEN, 20, "Redis holds back what it has acknowledged")

    @staticmethod
    def unwritten(stand):
        """Bytes that Redis has acknowledged and not yet written, because its fdatasync is under way."""
        words = dict(line.split(":", 1) for line in stand.redis("INFO", "persistence").split() if ":" in line)
        return int(words.get("aof_buffer_length", 0)) if words.get("aof_pending_bio_fsync") == "1" else 0

    def settle(self, stand):
        stand.aof.set(DELAY, 0)

    def judge(self, stand, row):
        row.alive = row.rolled_back > 0


class Stop(Fault):
    name, sentence, lasts_s = "stop", "SIGSTOP for 0.3 to 3 s of joblogd, Redis, the tailers or the writers", 3

    def inject(self, stand, rng, row):
        pids = [stand.pid, stand.redis_alive(), stand.parts["tailers"], stand.parts["agents"], stand.parts["posters"]]
        pid = rng.choice([p for p in pids if p])
        stand.stop(pid, rng.uniform(0.3, self.lasts_s))
        return True


class RedisFull(Fault):
    name, sentence, lasts_s = "redis-oom", "Redis at its maxmemory: OOM replies", 2

    def inject(self, stand, rng, row):
        was = stand.redis("CONFIG", "GET", "maxmemory").split()
        if not was or "OK" not in stand.redis("CONFIG", "SET", "maxmemory", "1mb"):
            return False
        time.sleep(rng.uniform(0.3, self.lasts_s))
        stand.redis("CONFIG", "SET", "maxmemory", was[-1])
        return True

    def settle(self, stand):
        stand.redis("CONFIG", "SET", "maxmemory", "1gb")

    def judge(self, stand, row):
        row.alive = (stand.metric('joblog_redis_errors_total{name="OOM"}') or 0) > 0


class RedisReadonly(Fault):
    name, sentence, lasts_s = "redis-readonly", "Redis made a replica of nobody for a while: READONLY and MASTERDOWN replies", 2

    def inject(self, stand, rng, row):
        if "OK" not in stand.redis("REPLICAOF", "127.0.0.1", "1"):
            return False
        time.sleep(rng.uniform(0.3, self.lasts_s))
        stand.redis("REPLICAOF", "NO", "ONE")
        return True

    def settle(self, stand):
        stand.redis("REPLICAOF", "NO", "ONE")

    def judge(self, stand, row):
        row.alive = (stand.metric('joblog_redis_errors_total{name="READONLY"}') or 0) > 0


class Disk(Fault):
    """One of the disks fails for a while: under Redis' append-only file (stand.aof), or under the archive (stand.disk)."""
    lasts_s, shims, under, which, what = 2, True, "aof", WRITE_ERRNO, errno.ENOSPC

    def inject(self, stand, rng, row):
        disk = getattr(stand, self.under)
        before = disk.get(HITS)
        disk.set(self.which, self.what)
        time.sleep(rng.uniform(0.3, self.lasts_s))
        wait_for(lambda: disk.get(HITS) > before, SEEN_S, "something meets the disk that fails")
        self.settle(stand)
        return True

    def settle(self, stand):
        getattr(stand, self.under).set(self.which, 0)

    def judge(self, stand, row):
        row.alive = getattr(stand, self.under).get(HITS) > 0


class RedisMisconf(Disk):
    """everysec: after a failed write of its file Redis refuses with MISCONF; the batch before may be lost with a kill."""
    name, sentence = "redis-misconf", "Redis' append-only file cannot be written (ENOSPC, everysec): MISCONF replies"
    args, may_reset, calm_s = ("--durability", "accepted"), True, 5

    def judge(self, stand, row):
        row.alive = (stand.metric('joblog_redis_errors_total{name="MISCONF"}') or 0) > 0


class RedisDisk(Disk):
    """always: Redis ends itself before it answers; joblogd starts it again until the disk is well."""
    name, sentence = "aof-enospc", "ENOSPC on Redis' append-only file, appendfsync always"


class RedisEio(RedisDisk):
    name, sentence = "aof-eio", "EIO of fdatasync on Redis' append-only file, appendfsync always"
    which, what = SYNC_ERRNO, errno.EIO


class ArchiveDisk(Disk):
    name, sentence, under = "archive-enospc", "ENOSPC on writes to the archive", "disk"


class ArchiveEio(ArchiveDisk):
    name, sentence = "archive-eio", "EIO of fsync on the archive"
    which, what = SYNC_ERRNO, errno.EIO


class RedisLoading(KillRedis):
    name, sentence = "redis-loading", "kill -9 of Redis, whose loading is slowed down: LOADING replies"

    def inject(self, stand, rng, row):
        entries = 400  # the file holds a few thousand commands: about a second
        stand.set_redis_args(f"--key-load-delay {entries}")
        return super().inject(stand, rng, row)

    def settle(self, stand):
        stand.set_redis_args("")

    def judge(self, stand, row):
        row.alive = (stand.metric('joblog_redis_errors_total{name="LOADING"}') or 0) > 0 or bool(stand.logged("LOADING"))


class Clock(Fault):
    name, sentence, shims = "clock", "wall clocks of joblogd and Redis jump by up to a year, both ways", True

    def inject(self, stand, rng, row):
        for shim in (stand.disk, stand.aof):
            shim.set(CLOCK, rng.choice([-1, 1]) * rng.choice([60, 3600, 86400, 365 * 86400]) * 1000000)
        return True

    def settle(self, stand):
        for shim in (stand.disk, stand.aof):
            shim.set(CLOCK, 0)


class ClockKill(Clock):
    name, sentence = "clock-kill", "the same, and in three of four joblogd is killed with it, alone or with Redis"

    def inject(self, stand, rng, row):
        super().inject(stand, rng, row)
        rng.choice([stand.kill_joblogd, stand.kill_joblogd, stand.kill_both, lambda: None])()
        return True


class KillAtPoint(Fault):
    """A build with FAULTS=1 dies at a named point under load; then it is started again with the next one armed. While the
    jobs end it dies once more, at one of the points of the end."""
    name, sentence = "kill-points", "kill -9 of joblogd at named points (FAULTS=1 build)"
    lasts_s, round_faults = 8, 5
    # name: up to which pass
    POINTS = {"stream.append.send": 200, "stream.append.reply": 200, "stream.append.answer": 200, "stream.hello.send": 4,
              "stream.hello.reply": 4, "stream.lease.reply": 4, "stream.commit.send": 4, "stream.commit.reply": 4,
              "ingest.http.answer": 100, "ingest.agent.ack": 100, "ingest.agent.welcome": 4, "tail.run": 100, "pump.read": 6,
              "pump.before_commit": 4, "pump.prepared": 4, "pump.after_commit": 4, "pump.take_over": 1, "pump.after_verify": 4,
              "pump.before_put_job": 4, "pump.before_trim": 4, "segment.add": 40, "segment.finish": 4, "segment.fsync": 4,
              "segment.rename": 4, "segment.fsync_dir": 4, "io.open": 8, "io.write": 20, "io.fsync": 8, "io.rename": 8,
              "io.fsync_dir": 8}
    LAST = ["stream.state.send", "stream.state.reply", "stream.seal.send", "stream.seal.reply", "ingest.agent.fin",
            "pump.before_put_job", "pump.before_trim", "pump.before_commit", "pump.after_commit", "tail.end"]

    def __init__(self):
        self.at = self.rounds = self.ended = 0

    def stand(self):
        if not os.environ.get("JOBLOGD_FAULTS"):
            raise unittest.SkipTest("needs JOBLOGD_FAULTS=build-faults/joblogd (make FAULTS=1)")
        s = super().stand()
        s.binary = os.path.abspath(os.environ["JOBLOGD_FAULTS"])
        return s

    def arm(self, stand, fault):
        """For the next start."""
        stand.env["JOBLOG_FAULT"] = fault

    def inject(self, stand, rng, row):
        names = list(self.POINTS)
        point = names[self.at % len(names)]
        self.at += 1
        if point == "pump.take_over":  # something must be there to be taken over
            self.dies_at(stand, "pump.after_commit:1")
        hit = self.dies_at(stand, f"{point}:{rng.randint(1, self.POINTS[point])}")
        self.arm(stand, "")
        if hit:
            stand.kill(signal.SIGKILL)
            stand.start(ready=False)
        else:
            row.notes.append(f"{point} not reached")
        return hit

    def dies_at(self, stand, fault):
        self.arm(stand, fault)
        stand.kill(signal.SIGKILL)
        try:
            stand.start(ready=False)
        except AssertionError:
            pass  # it died before it listened
        return self.dies(stand, self.lasts_s)

    @staticmethod
    def dies(stand, seconds):
        until = time.monotonic() + seconds
        while stand.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        return not stand.is_alive()

    def settle(self, stand):
        point = self.LAST[self.rounds % len(self.LAST)]
        self.rounds += 1
        self.arm(stand, f"{point}:1")
        stand.kill(signal.SIGKILL)
        stand.start(ready=False)
        self.arm(stand, "")

        def raise_again():
            if self.dies(stand, 60):
                self.ended += 1
                stand.start(ready=False)

        self.watch = threading.Thread(target=raise_again)
        self.watch.start()

    def judge(self, stand, row):
        self.watch.join(1)
        if self.watch.is_alive():
            row.notes.append("a last point was not reached")
            stand.kill(signal.SIGKILL)
            self.watch.join()
        row.notes = [n for n in row.notes if "while they ended" not in n] + [f"{self.ended} more while they ended"]


FAULTS = {f.name: f for f in [Fault, KillJoblogd, KillAtPoint, KillRedis, KillBoth, KillStopped, SlowFsync, Stop, RedisFull, RedisReadonly,
                              RedisMisconf, RedisLoading, RedisDisk, RedisEio, ArchiveDisk, ArchiveEio, Clock,
                              ClockKill]}
