#!/usr/bin/python3
"""tests/fault/torture.py -- the campaign from the command line (`make torture`).

usage: torture.py [--fault NAME]… [-n N] [--floor LINES_S] [--seed S] [--journal FILE] [--list]

Without --fault: all of them, N times each. Prints a row for each round and each fault; exit code 1 when there was an anomaly.
Every anomaly goes whole into FILE (build/fault/anomalies.jsonl), with what its reader had been given before, when the faults
were, and joblogd's log; the data of that round is kept.
"""
import argparse
import os
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e")]

from campaign import Campaign  # noqa: E402
from every_fault import FAULTS    # noqa: E402
from view import Anomalies        # noqa: E402


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--fault", action="append", choices=list(FAULTS))
    ap.add_argument("-n", type=int, default=20)
    ap.add_argument("--floor", type=float, default=20000)
    ap.add_argument("--seed", type=int)
    ap.add_argument("--journal", default=os.path.join(os.environ.get("BUILD", "build"), "fault", "anomalies.jsonl"))
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    if a.list:
        for f in FAULTS.values():
            print(f"{f.name:16} {f.sentence}")
        return 0
    Anomalies.journal = os.path.abspath(a.journal)
    os.makedirs(os.path.dirname(Anomalies.journal), exist_ok=True)
    rows, bad = [], 0
    for name in a.fault or [n for n in FAULTS if n != "none"]:
        fault = FAULTS[name]()
        try:
            row = Campaign(fault, a.n, a.floor, seed=a.seed, say=lambda t: print("  " + t, flush=True)).run()
        except unittest.SkipTest as e:
            print(f"{name}: skipped: {e}", flush=True)
            continue
        rows.append(row.text() + ("" if getattr(row, "alive", True) else "; THE FAULT WAS NOT SEEN"))
        bad += row.anomalies.total() + (not getattr(row, "alive", True))
        for kind, details in row.anomalies.examples.items():
            for d in details:
                print(f"    {kind}: {d}", flush=True)
    print("\n" + "\n".join(rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
