#!/usr/bin/python3
"""tests/fault/planted.py -- bugs planted in joblogd (FAULTS=1 build), each of which the checker must catch (`make planted`).

usage: planted.py [NAME…]

Prints a table: the bug, what was done, which anomalies were found. Exit code 1 when one got away.
"""
import os
import signal
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")]

from campaign import Campaign                                     # noqa: E402
from faults import Fault, KillAtPoint, KillJoblogd, KillStopped  # noqa: E402
from stand import Stand                                           # noqa: E402

Stand.drain_s = 12

#   name: (sentence, JOBLOG_FAULT, fault, injections, anomalies of which one must be found)
PLANTS = {
    "drop": ("a batch in 300 is acknowledged and thrown away", "plant.drop:300:each", Fault, 6, {"lost"}),
    "skip": ("a run of frames in 100 is not sent to a live tail", "plant.skip:100:each", Fault, 6, {"skipped"}),
    "repeat": ("lines are stored without the sequence check, so a retry stores them twice", "plant.repeat:1:each", KillJoblogd, 12,
               {"disorder", "repeated", "hole"}),
    "swap": ("two lines of a frame in 100 change places", "plant.swap:100:each", Fault, 4, {"disorder", "hole"}),
    "early": ("acknowledged before Redis has answered", "plant.early:1:each", KillStopped, 3, {"lost"}),
    "trim": ("Redis is trimmed before the segment is named and verified", "plant.trim:1:each", KillAtPoint, 3,
             {"lost", "gap", "skipped", "hole", "archive"}),
    "end": ("`end` is sent at the terminal state, before the last lines", "plant.end:1:each", Fault, 1, {"end_wrong"}),
    "cursor": ("a cursor is read as `from here on` instead of `after this`", "plant.cursor:1:each", Fault, 2,
               {"repeated", "disorder"}),
}


def planted(name):
    """The fault of a plant, with the bug armed in every joblogd of the stand."""
    _, arm, kind, count, _ = PLANTS[name]

    class Planted(kind):
        POINTS, LAST = {"pump.before_commit": 4}, ["none"]

        def stand(self):
            s = super().stand()
            s.env["JOBLOG_FAULT"] = arm
            s.kill(signal.SIGKILL)
            s.start()
            return s

        def arm(self, stand, point):
            super().arm(stand, arm + "," + point if point else arm)

    return Planted(), count


def catch(name, floor=2000, lines_s=20000):
    """(caught, row)"""
    fault, count = planted(name)
    row = Campaign(fault, count, floor, lines_s, jobs=2).run()
    return bool(set(row.anomalies.counts) & PLANTS[name][4]), row


def main():
    missed = 0
    for name in sys.argv[1:] or PLANTS:
        caught, row = catch(name)
        missed += not caught
        found = ", ".join(f"{k} {v}" for k, v in sorted(row.anomalies.counts.items())) or "nothing"
        print(f"{'caught' if caught else 'MISSED'}  {name:7} {PLANTS[name][0]}: {found} in {row.lines:,} lines", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
