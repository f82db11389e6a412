"""tests/fault/faults_sentinel.py -- Redis under sentinels: the master dies, hangs, is cut off or replaced; joblogd is not told."""
import signal
import time

from faults import Fault
from redis_servers import Group
from stand import Stand


class GroupStand(Stand):
    """Its Redis is a master with a replica and three sentinels."""

    def __init__(self, *args):
        self.group = Group()
        try:
            super().__init__(*args, "--redis", self.group.url)
        except BaseException:
            self.group.close()
            raise

    def redis_alive(self):
        return self.group.master.proc.pid

    def close(self):
        super().close()
        self.group.close()


class Sentinel(Fault):
    """In three of four cases the replica hangs before, so that it lacks what readers have been shown."""
    name = "sentinel"
    sentence = "the sentinels promote a replica that lags, joblogd goes on: its master killed, stopped, cut off or replaced"
    args, may_reset, round_faults = ("--durability", "replicated"), True, 10
    ways = ("kill", "stop", "cut", "told")  # each once, in any order, then again
    by_hand = 0.7                           # how often the old master is told to follow; else the sentinels see to it, after 8 s

    def __init__(self):
        self.done, self.deck = {}, []

    def stand(self):
        return GroupStand(*self.args)

    def inject(self, stand, rng, row):
        self.deck = self.deck or rng.sample(self.ways, len(self.ways))
        g, way, lags = stand.group, self.deck.pop(), rng.random() < 0.75
        if lags:
            g.replica.proc.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(0.1, 0.5))
        if way != "told":
            getattr(g, way)()
        if lags:
            g.replica.proc.send_signal(signal.SIGCONT)
        if way == "told":
            g.told()
        g.wait_moved()
        g.come_back(by_hand=rng.random() < self.by_hand)
        self.done[way] = self.done.get(way, 0) + 1
        return True

    def ready(self, stand):
        stand.group.wait_whole()

    def settle(self, stand):
        stand.group.wait_whole()

    def judge(self, stand, row):
        row.notes = [n for n in row.notes if not n.startswith("ways")]
        row.notes.append("ways " + " ".join(f"{k} {v}" for k, v in sorted(self.done.items())))


class SentinelDurable(Sentinel):
    """The negative control: without WAIT what the replica lacks is lost, and it must be seen."""
    name, sentence = "sentinel-durable", "the same in class durable: what it does not promise (losses are expected)"
    args = ("--durability", "durable")


FAULTS_SENTINEL = {f.name: f for f in [Sentinel, SentinelDurable]}
