"""tests/fault/faults_net.py -- the network between clients, joblogd and Redis: cut, late, lossy, slow.

joblogd lives in a network namespace of its own; clients and Redis are outside, so both of its roads cross the same veth pair,
which is cut, throttled, and robbed of packets; delayed and reordered where the kernel has netem. Skipped where namespaces are
not permitted.
"""
import os
import random
import subprocess
import time
import unittest

from faults import Fault
from faults_lost import Server
from stand import Stand


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Link:
    """A namespace and the way to it: here .1, there .2."""

    def __init__(self):
        self.name = f"jl{os.getpid() % 100000}{random.randrange(100)}"
        self.net = f"10.{random.randrange(100, 250)}.{random.randrange(250)}"
        for words in (["ip", "netns", "add", self.name],
                      ["ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name],
                      ["ip", "addr", "add", f"{self.net}.1/24", "dev", self.name], ["ip", "link", "set", self.name, "up"],
                      [*self.there(), "ip", "addr", "add", f"{self.net}.2/24", "dev", "eth0"],
                      [*self.there(), "ip", "link", "set", "eth0", "up"], [*self.there(), "ip", "link", "set", "lo", "up"]):
            r = run(*words)
            if r.returncode:
                self.close()
                raise unittest.SkipTest(f"no network namespace here: {' '.join(words)}: {r.stderr.strip()}")
        self.hurts = [self.cut]
        if self.slow():
            self.hurts.append(self.slow)
        if self.lossy():
            self.hurts.append(self.lossy)
        if self.netem("delay", "1ms"):
            self.hurts += [lambda: self.netem("delay", "200ms", "50ms"),
                           lambda: self.netem("delay", "20ms", "reorder", "25%", "50%")]
        self.heal()

    def there(self):
        return ["ip", "netns", "exec", self.name]

    def netem(self, *words):
        return self.qdisc("netem", *words)

    def qdisc(self, *words):
        a = run("tc", "qdisc", "replace", "dev", self.name, "root", *words)
        b = run(*self.there(), "tc", "qdisc", "replace", "dev", "eth0", "root", *words)
        return a.returncode == 0 and b.returncode == 0

    def cut(self):
        """Nothing passes, nobody is told."""
        return run("ip", "link", "set", self.name, "down").returncode == 0

    def slow(self):
        """4 Mbit/s, so everything is late too."""
        return self.qdisc("tbf", "rate", "4mbit", "burst", "32kbit", "latency", "400ms")

    def lossy(self):
        """One packet in 20 of each direction."""
        return all(run(*self.there(), "iptables", "-A", chain, "-m", "statistic", "--mode", "random", "--probability", "0.05",
                       "-j", "DROP").returncode == 0 for chain in ("INPUT", "OUTPUT"))

    def heal(self):
        run("ip", "link", "set", self.name, "up")
        run("tc", "qdisc", "del", "dev", self.name, "root")
        run(*self.there(), "tc", "qdisc", "del", "dev", "eth0", "root")
        run(*self.there(), "iptables", "-F")

    def close(self):
        run("ip", "link", "del", self.name)
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
    name, sentence = "network", "the network of joblogd cut, slow (4 Mbit/s), losing 5 %, for 1 to 4 s (delay, reorder: with netem)"
    lasts_s, round_faults = 4, 8

    def stand(self):
        return FarStand(*self.args)

    def inject(self, stand, rng, row):
        hurt = rng.choice(stand.link.hurts)
        hurt()
        time.sleep(rng.uniform(1, self.lasts_s))
        stand.link.heal()
        return True

    def settle(self, stand):
        stand.link.heal()


FAULTS_NET = {f.name: f for f in [Network]}
