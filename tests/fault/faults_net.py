"""tests/fault/faults_net.py -- the network between clients, joblogd and Redis: cut, slow, lossy, late, out of order.

joblogd lives in a network namespace of its own; clients and Redis are outside, so both of its roads cross the same link, which is
carried by tests/fault/wire.c and is as bad as that is told. Skipped where namespaces or tun devices are not permitted.
"""
import os
import random
import subprocess
import time
import unittest

from faults import Fault
from redis_servers import Server
from stand import Stand, compiled

HURTS = {
    "cut": "loss 100",
    "slow": "rate 4000",
    "lossy": "loss 5",
    "late": "delay 200 jitter 50",
    "reordered": "delay 20 reorder 25",
    "far and bad": "delay 60 jitter 40 loss 2 rate 16000",
}


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Link:
    """A namespace and the way to it: here .1, there .2."""

    def __init__(self):
        self.name = f"jl{os.getpid() % 100000}{random.randrange(100)}"
        self.net = f"10.{random.randrange(100, 250)}.{random.randrange(250)}"
        self.wire = None
        self.must("ip", "netns", "add", self.name)
        wire = compiled("wire.c", "wire")
        self.wire = subprocess.Popen([wire, self.name, self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        if self.wire.stdout.readline() != "ready\n":
            self.skip(f"wire: {self.wire.stderr.read().strip()}")
        there = ["ip", "-n", self.name]
        for way, dev, end in ((["ip"], self.name, 1), (there, "eth0", 2)):
            self.must(*way, "addr", "add", f"{self.net}.{end}/24", "dev", dev)
            self.must(*way, "link", "set", dev, "mtu", "9000", "up")
        self.must(*there, "link", "set", "lo", "up")

    def skip(self, why):
        self.close()
        raise unittest.SkipTest(f"no network namespace here: {why}")

    def must(self, *words):
        r = run(*words)
        if r.returncode:
            self.skip(f"{' '.join(words)}: {r.stderr.strip()}")

    def there(self):
        return ["ip", "netns", "exec", self.name]

    def hurt(self, how):
        self.wire.stdin.write(how + "\n")
        self.wire.stdin.flush()

    def settled(self):
        """Returns once the wire obeys the last order."""
        self.wire.stdin.write("say\n")
        self.wire.stdin.flush()
        assert self.wire.stdout.readline() == "so\n"

    def heal(self):
        self.hurt("")

    def close(self):
        if self.wire:
            self.wire.stdin.close()
            self.wire.wait()
        run("ip", "netns", "del", self.name)


class FarStand(Stand):
    """Behind a link; its Redis here."""

    def __init__(self, *args):
        self.link = Link()
        self.server = Server(f"{self.link.net}.1")
        self.server.start()
        super().__init__("--open", "--redis", f"redis://{self.link.net}.1:{self.server.port}", *args,
                         wrapper=self.link.there(), host=f"{self.link.net}.2")

    def redis_alive(self):
        return self.server.proc.pid

    def close(self):
        super().close()
        self.server.kill()
        self.server.empty()
        os.rmdir(self.server.dir)
        self.link.close()


class Network(Fault):
    name, sentence = "network", "the network of joblogd cut, slow, losing, late or out of order, for 1 to 4 s"
    lasts_s, round_faults = 4, 8

    def stand(self):
        return FarStand(*self.args)

    def inject(self, stand, rng, row):
        stand.link.hurt(HURTS[rng.choice(sorted(HURTS))])
        time.sleep(rng.uniform(1, self.lasts_s))
        stand.link.heal()
        return True

    def settle(self, stand):
        stand.link.heal()


FAULTS_NET = {f.name: f for f in [Network]}
