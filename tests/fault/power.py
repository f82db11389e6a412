"""tests/fault/power.py -- the power fails: joblogd and Redis die, and what was not told to the disk is gone.

Both run over tests/fault/power.c, which keeps a journal. cut() plays a disk that promises nothing but what POSIX does:

- A name that was made, changed or taken away comes with an fsync of its folder. Without one, the changes of a folder go from the
  last one backwards: all of them, or a random number.
- What was written to a file comes with its fdatasync or fsync. Of what was written since: nothing, or a random part of it from
  its start (so that a record is torn).

A folder whose own name is gone takes everything below it along. What is not modelled: blocks of unwritten data that hold
something else (a file system with ordered data shows none), and a disk that lies (PowerLies below is that one).
"""
import contextlib
import os
import shutil
import signal
import tempfile
import time

from faults import Fault
from harness import wait_for
from stand import Stand, compiled


class Disk:
    """What of root is on disk, by the journal."""

    def __init__(self, root, journal):
        self.root, self.journal, self.synced, self.pending, self.lost_bytes, self.lost_names = root, journal, {}, [], 0, 0

    def env(self, lies):
        return {"LD_PRELOAD": compiled("power.c", "power.so", "-shared", "-fPIC", "-ldl"), "POWER": self.journal,
                "POWER_ROOT": self.root, **({"POWER_LIE": "1"} if lies else {})}

    def users(self):
        """Pids of the processes that run in the folder."""
        pids = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if (os.readlink(f"/proc/{pid}/cwd") + "/").startswith(self.root + "/"):
                    pids.append(int(pid))
            except OSError:  # it has just gone
                pass
        return pids

    def fresh(self):
        """All that is there is on disk."""
        shutil.rmtree(self.journal + ".kept", ignore_errors=True)
        os.makedirs(self.journal + ".kept")
        self.synced, self.pending = {}, []
        with open(self.journal, "w", encoding="utf-8") as f:
            for path in self.files():
                st = os.stat(path)
                f.write(f"sync\t{st.st_ino}\t{st.st_size}\t\n")

    def files(self):
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path

    def read(self):
        with open(self.journal, encoding="utf-8") as f:
            for line in f:
                what, *of = line.rstrip("\n").split("\t")
                if what == "sync":
                    self.synced[int(of[0])] = max(int(of[1]), self.synced.get(int(of[0]), 0))
                elif what == "cut":
                    self.synced[int(of[0])] = min(int(of[1]), self.synced.get(int(of[0]), 0))
                elif what == "syncdir":
                    self.pending = [p for p in self.pending if os.path.dirname(p[1][what_is_it(p[0])]) != of[0]]
                else:
                    self.pending.append((what, of))

    def cut(self, rng):
        """Take away what an outage at this moment takes. Nothing may be running."""
        self.read()
        keeps = {}
        for what, of in self.pending:  # of each folder: how many of its last changes stay
            keeps.setdefault(os.path.dirname(of[what_is_it(what)]), []).append(1)
        keeps = {folder: 0 if rng.random() < 0.5 else rng.randint(0, len(n)) for folder, n in keeps.items()}
        doomed = []
        for what, of in self.pending:
            folder = os.path.dirname(of[what_is_it(what)])
            keeps[folder] -= 1
            if keeps[folder] < 0:
                doomed.append((what, of))
        for what, of in reversed(doomed):
            self.lost_names += self.undo(what, of)
        for path in self.files():
            st = os.stat(path)
            safe = min(self.synced.get(st.st_ino, 0), st.st_size)
            if st.st_size > safe:
                size = safe if rng.random() < 0.5 else rng.randint(safe, st.st_size)
                self.lost_bytes += st.st_size - size
                os.truncate(path, size)
        self.fresh()

    @staticmethod
    def undo(what, of):
        """Was there something to undo?"""
        path, other = of[0], of[1]
        try:
            if what == "create":
                os.unlink(path)
            elif what == "mkdir":
                shutil.rmtree(path)
            elif what == "rmdir":
                os.mkdir(path)
            elif what == "unlink":
                if os.path.lexists(path) or other == "-":
                    return False
                os.link(other, path)
            elif what == "rename":
                os.rename(other, path)
                if of[2] != "-":
                    os.link(of[2], other)
            return True
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            return False


def what_is_it(what):
    """Which field of a line is the name whose folder must be synced."""
    return 1 if what == "rename" else 0


class PowerStand(Stand):
    """A stand on a disk of its own; lies: it says that it has what it has not."""

    def __init__(self, *args, lies=False, **kw):
        self.journals, data = tempfile.mkdtemp(prefix="jl-power-"), os.path.realpath(tempfile.mkdtemp(prefix="jl-power-"))
        self.powered = Disk(data, os.path.join(self.journals, "journal"))
        self.powered.fresh()
        env = self.powered.env(lies)
        super().__init__(*args, data=data, env=env, redis_env=env, **kw)
        self.own_data = True

    def power_cut(self, rng):
        for pid in self.powered.users():  # Redis in the middle of what it does, not after it
            os.kill(pid, signal.SIGSTOP)
        self.kill(signal.SIGKILL)

        def gone():
            for pid in (pids := self.powered.users()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        wait_for(gone, 20, "everything that uses the disk is gone")
        self.powered.cut(rng)
        self.start(ready=False)

    def close(self):
        super().close()
        shutil.rmtree(self.journals, ignore_errors=True)


class Power(Fault):
    name, sentence = "power", "the power fails: both are killed, and what was not synced is gone from the disk"
    lies = False

    def stand(self):
        return PowerStand(*self.args, lies=self.lies)

    def inject(self, stand, rng, row):
        if rng.random() < 0.3:
            stand.redis("BGREWRITEAOF")
            time.sleep(rng.uniform(0, 0.5))
        stand.power_cut(rng)
        return True

    def judge(self, stand, row):
        row.taken = [a + b for a, b in zip(getattr(row, "taken", (0, 0)), (stand.powered.lost_bytes, stand.powered.lost_names))]
        row.notes = ["the disk lost %d bytes and %d names" % tuple(row.taken)]
        row.alive = sum(row.taken) > 0


class PowerAccepted(Power):
    """Class accepted: up to a second of lines goes with the power; producers send it again."""
    name, sentence = "power-accepted", "the same in class accepted: what was not yet durable is sent again"
    args, may_reset, calm_s = ("--durability", "accepted"), True, 4

    def judge(self, stand, row):
        super().judge(stand, row)
        row.alive = row.rolled_back > 0


class PowerLies(Power):
    """The negative control: a disk that says it has what it has not."""
    name, sentence, lies = "power-lies", "the same on a disk that syncs nothing: what joblog cannot promise (losses are expected)", True


FAULTS_POWER = {f.name: f for f in [Power, PowerAccepted, PowerLies]}
