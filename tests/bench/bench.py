#!/usr/bin/python3
"""tests/bench/bench.py -- every row of the bench, beside an anchor of the same run; writes tests/bench/RESULTS.md.

usage: tests/bench/bench.py [--runs 3] [--quick] [-k WORD] [--folder DIR] [--no-write]

A row is a function row_* of a rows_*.py beside this file; its docstring says what is done. It is run --runs times (one with
`once` set: once, it is long), all its figures are medians, the spread is the smallest and the largest. A row whose lines were
missing, twice or out of order fails, and RESULTS.md says so. It is written anew after each of the runs. --quick: a tenth of the lines and one run, to see that everything works; nothing is written.
A figure with a goal that is missed is a result, not a failure: exit code 0 when every row ran, 1 otherwise.
"""
import argparse
import datetime
import importlib
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from measure import Corpus, ROOT  # noqa: E402

MODULES = ("rows_ingest", "rows_follow", "rows_archive")
RESULTS = os.path.join(HERE, "RESULTS.md")
NOTES = os.path.join(HERE, "NOTES.md")


class Bench:
    """What rows share: folder for files, corpus, quick, the archived job once it is there."""

    def __init__(self, folder, quick):
        self.folder, self.quick, self.archived = folder, quick, None
        self.corpus = Corpus(folder, 200_000 if quick else 2_000_000)

    def close(self):
        if self.archived:
            self.archived.d.close()
            self.archived = None


def number(x):
    """Three figures that count."""
    if x == 0:
        return "0"
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.{max(0, 2 - len(str(int(abs(x)))) + 1)}f}" if abs(x) >= 1 else f"{x:.2g}"


class Result:
    """One figure over all runs."""

    def __init__(self, figures):
        values = [f.value for f in figures]
        self.last, self.value, self.low, self.high = figures[-1], statistics.median(values), min(values), max(values)
        goals = [f.goal[1] for f in figures if f.goal]
        self.goal = (self.last.goal[0], statistics.median(goals)) if goals else None
        anchors = [f.anchor[1] for f in figures if f.anchor]
        self.anchor = (self.last.anchor[0], statistics.median(anchors)) if anchors else None

    def reached(self):
        return None if not self.goal else self.value <= self.goal[1] if self.goal[0] == "<=" else self.value >= self.goal[1]

    def row(self):
        unit = f" {self.last.unit}" if self.last.unit else ""
        goal = "" if not self.goal else f"{'≤' if self.goal[0] == '<=' else '≥'} {number(self.goal[1])}{unit} {'✓' if self.reached() else '✗'}"
        anchor = "" if not self.anchor else f"{self.anchor[0]}: {number(self.anchor[1])}{unit}"
        ratio = "" if not self.anchor or not self.anchor[1] else f"{self.value / self.anchor[1]:.2f}"
        return f"| {self.last.name} | **{number(self.value)}**{unit} | {number(self.low)} – {number(self.high)} | {goal} | {anchor} | {ratio} |"


def machine():
    model = next((x.split(":", 1)[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), platform.machine())
    kb = next(int(x.split()[1]) for x in open("/proc/meminfo") if x.startswith("MemTotal"))
    return f"{model}, {os.cpu_count()} cores, {kb >> 20} GB, {platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"


def sections_of(rows, got):
    """[(name, sentence, runs, results)] of the rows that have run so far."""
    return [(name, row.__doc__.strip().splitlines()[0], len(got[name]), [Result(list(column)) for column in zip(*got[name])])
            for name, row in rows if got[name]]


def write(sections, failed, argv):
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    with open(RESULTS, "w") as f:
        f.write(f"# Results of `make bench`\n\nWritten by `{argv}` on {datetime.date.today()}, commit {commit}: {machine()}.\n"
                "Load tools and anchors run on the same cores. Medians; the spread is the smallest and the largest run. "
                "The ratio is ours to the anchor's of the same run. ✓ and ✗: the goal is reached, or not.\n")
        for title, sentence, runs, results in sections:
            f.write(f"\n## {title}\n\n{sentence}  \n`tests/bench/bench.py -k {title}`, {runs} run{'s' * (runs != 1)}\n\n"
                    "| | median | spread | goal | anchor | ratio |\n|---|---|---|---|---|---|\n")
            f.writelines(r.row() + "\n" for r in results)
        if failed:
            f.write("\n## Failed\n\n" + "".join(f"- {name}, run {turn}: {why}\n" for name, turn, why in failed))
        if os.path.exists(NOTES):
            f.write("\n" + open(NOTES).read())


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("-k", default="", help="only rows whose name contains this; the others keep no result, so nothing is written")
    ap.add_argument("--folder", help="where the corpus is made and kept (400 MB and more; default: a temporary one)")
    ap.add_argument("--no-write", action="store_true")
    a = ap.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)  # 10,000 followers; servers inherit it
    folder = a.folder or tempfile.mkdtemp(prefix="jl-bench-")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    rows = [(name[4:], f) for m in MODULES for name, f in vars(importlib.import_module(m)).items() if name.startswith("row_") and a.k in name]
    bench, failed, got = Bench(folder, a.quick), [], {name: [] for name, _ in rows}
    argv = "make bench" if not sys.argv[1:] else f"tests/bench/bench.py {' '.join(sys.argv[1:])}"
    try:
        for turn in range(1 if a.quick else a.runs):
            for name, row in rows:
                if turn and getattr(row, "once", False):
                    continue
                print(f"{turn + 1}: {name}", flush=True)
                try:
                    got[name].append(row(bench))
                except Exception as e:
                    failed.append((name, turn + 1, (str(e).splitlines() or [type(e).__name__])[0][:200]))
                    print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
            bench.close()
            if not (a.quick or a.k or a.no_write):
                write(sections_of(rows, got), failed, argv)
                print(f"\nwritten: {os.path.relpath(RESULTS, ROOT)}, {turn + 1} of {a.runs} runs", flush=True)
        for name, sentence, _, results in sections_of(rows, got):
            print(f"\n{name}: {sentence}")
            for r in results:
                print("  " + r.row().replace("**", ""))
    finally:
        bench.close()
        if not a.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
