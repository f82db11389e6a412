"""tests/fault/faults_lost.py -- faults in which Redis comes back with less than it had shown: both killed on a slow disk, a failover.

Readers have seen records that are gone, and joblogd, started anew, has not: cursors of the lost history must answer `reset`.
"""
import os
import signal
import time

from faults import Fault, SlowFsync
from harness import wait_for
from redis_servers import Server


class KillBothSlow(SlowFsync):
    name, sentence = "kill-both-slow", "kill -9 of joblogd and Redis, everysec, fdatasync delayed by 800 ms, class accepted"

    def inject(self, stand, rng, row):
        self.hold_back(stand)
        stand.kill_both()
        return True


class Failover(Fault):
    """The replica hangs for a while, then the master is killed and the replica promoted; joblogd is killed too and told the new
    address, as an operator would."""
    name, sentence = "failover", "death of the master while its replica lags, promotion of the replica, class replicated"
    args, may_reset, round_faults = ("--durability", "replicated"), True, 6

    def stand(self):
        self.master, self.replica = Server(), Server()
        self.master.start()
        self.replica.start(self.master.port)
        self.wait_replica()
        self.args = (*type(self).args, "--redis", f"redis://127.0.0.1:{self.master.port}")
        return super().stand()

    def wait_replica(self):
        wait_for(lambda: "state=online" in self.master.cli("INFO", "replication"), 30, "the replica is in step")

    def inject(self, stand, rng, row):
        self.replica.proc.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 0.6))
        self.master.kill()
        stand.kill(signal.SIGKILL)
        self.replica.proc.send_signal(signal.SIGCONT)
        self.replica.cli("REPLICAOF", "NO", "ONE")
        self.master, self.replica = self.replica, self.master
        stand.args[stand.args.index("--redis") + 1] = f"redis://127.0.0.1:{self.master.port}"
        stand.start(ready=False)
        self.replica.empty()
        self.replica.start(self.master.port)
        self.wait_replica()
        return True

    def judge(self, stand, row):
        for s in (self.master, self.replica):
            s.kill()
            s.empty()
            os.rmdir(s.dir)


class FailoverDurable(Failover):
    """The negative control: without WAIT the same loses what had been called durable."""
    name, sentence = "failover-durable", "the same in class durable: what it does not promise (losses are expected)"
    args = ("--durability", "durable")


FAULTS_LOST = {f.name: f for f in [KillBothSlow, Failover, FailoverDurable]}
