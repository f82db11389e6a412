"""tests/e2e/redis_servers.py -- redis-servers of our own, alone or as a master with its replica and three sentinels.

    with Group() as g:
        d = Joblogd("--redis", g.url)
        g.wait_whole()
        g.master.kill()
        g.wait_moved()               # the sentinels have promoted g.replica
        g.come_back(by_hand=True)    # roles change: g.master is the new one, g.replica the old one
"""
import os
import signal
import subprocess
import tempfile

from harness import free_port, wait_for

USERS = {"jl": "lines", "sentinel": "knock"}  # joblogd's and our own; the sentinels' and the replica's, which can be cut off
DOWN_AFTER_MS = 700


class Server:
    """A redis-server of our own on a port. users: who is nobody may do nothing."""

    def __init__(self, host="127.0.0.1", users=False):
        self.host, self.port, self.dir, self.users = host, free_port(), tempfile.mkdtemp(prefix="jl-redis-"), users
        self.proc = None

    def start(self, master=None, fsync="always"):
        words = ["redis-server", "--port", str(self.port), "--bind", self.host, "--protected-mode", "no", "--dir", self.dir, "--appendonly", "yes",
                 "--appendfsync", fsync, "--save", "", "--logfile", os.path.join(self.dir, "log"), "--repl-diskless-sync-delay", "0"]
        if self.users:
            words += ["--user", "default", "off", "--masteruser", "sentinel", "--masterauth", USERS["sentinel"]]
            for name, secret in USERS.items():
                words += ["--user", name, "on", f">{secret}", "~*", "&*", "+@all"]
        if master:
            words += ["--replicaof", "127.0.0.1", str(master)]
        self.proc = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "PONG" in self.cli("PING"), 20, "redis answers")

    def cli(self, *argv):
        who = ["--user", "jl", "--pass", USERS["jl"], "--no-auth-warning"] if self.users else []
        r = subprocess.run(["redis-cli", "-h", self.host, "-p", str(self.port), *who, *argv], capture_output=True, text=True, timeout=20, check=False)
        return r.stdout

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def empty(self):
        subprocess.run(["rm", "-rf", self.dir], check=False)
        os.makedirs(self.dir)

    def remove(self):
        if self.proc:
            self.kill()
        subprocess.run(["rm", "-rf", self.dir], check=False)


class Sentinel:
    """A redis-sentinel of our own that watches master as "jobs". secret: what it wants to hear, "" for nothing."""

    def __init__(self, master, secret=""):
        self.port, self.dir, self.secret = free_port(), tempfile.mkdtemp(prefix="jl-sentinel-"), secret
        conf = os.path.join(self.dir, "sentinel.conf")
        with open(conf, "w") as f:
            f.write(f"port {self.port}\nbind 127.0.0.1\ndir {self.dir}\nlogfile {self.dir}/log\n"
                    f"sentinel monitor jobs 127.0.0.1 {master.port} 2\nsentinel down-after-milliseconds jobs {DOWN_AFTER_MS}\n"
                    "sentinel failover-timeout jobs 2000\n"
                    f"sentinel auth-user jobs sentinel\nsentinel auth-pass jobs {USERS['sentinel']}\n")
            if secret:
                f.write(f"requirepass {secret}\nsentinel sentinel-pass {secret}\n")
        self.proc = subprocess.Popen(["redis-server", conf, "--sentinel"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "PONG" in self.cli("PING"), 20, "the sentinel answers")

    def cli(self, *argv):
        who = ["-a", self.secret, "--no-auth-warning"] if self.secret else []
        r = subprocess.run(["redis-cli", "-p", str(self.port), *who, *argv], capture_output=True, text=True, timeout=20, check=False)
        return r.stdout

    def names(self):
        """The port of the master it names; 0 when it does not."""
        words = self.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs").split()
        return int(words[1]) if len(words) == 2 and words[1].isdigit() else 0

    def field(self, what, name):
        words = self.cli("SENTINEL", what, "jobs").split("\n")
        return words[words.index(name) + 1] if name in words else ""

    def is_calm(self):
        """It sees the others, and nothing that is down or under way."""
        return (self.field("MASTER", "flags") == "master" and self.field("MASTER", "num-other-sentinels") == "2"
                and self.field("SLAVES", "flags") == "slave")

    def remove(self):
        self.proc.kill()
        self.proc.wait()
        subprocess.run(["rm", "-rf", self.dir], check=False)


class Group:
    """A master, its replica, three sentinels that agree by two."""

    def __init__(self, sentinel_secret=""):
        self.sentinels = []
        self.master, self.replica = Server(users=True), Server(users=True)
        try:
            self.master.start()
            self.replica.start(self.master.port)
            self.sentinels = [Sentinel(self.master, sentinel_secret) for _ in range(3)]
            self.wait_whole()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"redis+sentinel://jl:{USERS['jl']}@" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + "/jobs"

    def is_followed(self):
        return "state=online" in self.master.cli("INFO", "replication")

    def wait_whole(self):
        """The replica follows, and all sentinels are of one mind."""
        if self.sentinels and all(s.names() == self.replica.port for s in self.sentinels):  # they have changed their mind once more
            self.master, self.replica = self.replica, self.master
        try:
            wait_for(self.is_followed, 20, "the replica is in step")
        except AssertionError:  # the sentinels did not see to it
            self.replica.cli("REPLICAOF", "127.0.0.1", str(self.master.port))
            wait_for(self.is_followed, 20, "the replica is in step when it is told by hand")
        wait_for(lambda: all(s.names() == self.master.port and s.is_calm() for s in self.sentinels), 40, "the sentinels agree")

    # -- what can be done to the master --
    def stop(self):
        self.master.proc.send_signal(signal.SIGSTOP)

    def cut(self):
        """From the sentinels and the replica, not from joblogd."""
        self.master.cli("ACL", "SETUSER", "sentinel", "off")
        self.master.cli("CLIENT", "KILL", "USER", "sentinel")

    def kill(self):
        self.master.kill()

    def told(self):
        """An operator wants the other one, while this one is well."""
        wait_for(lambda: "OK" in self.sentinels[0].cli("SENTINEL", "FAILOVER", "jobs"), 20, "the sentinel does it")

    def wait_moved(self):
        """At least two sentinels name the other one."""
        wait_for(lambda: sum(s.names() == self.replica.port for s in self.sentinels) >= 2, 40, "the sentinels promote the replica")

    def come_back(self, by_hand):
        """Whatever was done to the old master is over, and it is to be the new one's replica: told so by_hand, or by the sentinels."""
        old, self.master, self.replica = self.master, self.replica, self.master
        if old.proc.poll() is not None:
            old.start(self.master.port if by_hand else None)
            return
        old.proc.send_signal(signal.SIGCONT)
        old.cli("ACL", "SETUSER", "sentinel", "on")
        old.cli("CLIENT", "KILL", "USER", "default")
        if by_hand:
            old.cli("REPLICAOF", "127.0.0.1", str(self.master.port))

    def close(self):
        for s in self.sentinels:
            s.remove()
        self.master.remove()
        self.replica.remove()
