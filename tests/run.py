#!/usr/bin/python3
"""tests/run.py -- run every test and close with `N passed, N failed` (`, N skipped` when some were).

usage: tests/run.py [--build DIR] [--sanitized DIR] [--reports DIR] [--valgrind] [--patience N]
                    [--only unit|fuzz|tidy|e2e|fault] [--room R] [-k WORD] [--deadline S]
                    [--fuzz-s S] [--fuzz-seed N] [FILE…]

Unit binaries are cmocka programs (DIR/unit/…), run two at a time; fuzz corpora are replayed through
DIR/fuzz/*_replay, two at a time, and where there is a build with sanitizers, in that one changed inputs of them for --fuzz-s
seconds each, the same ones every time (tests/fuzz/replay_main.c; --fuzz-seed: others). End-to-end files
(tests/e2e/NN-room-what.py, tests/fault/*.py) are run one after another, each in a process of its own: every function
test_* is a test, its docstring the sentence that must hold. unittest.SkipTest skips with its reason. Exit 0 when nothing failed and something passed; of files
that are named, all may be skipped. --reports: DIR is a build with sanitizers, whose reports are kept there and are failures
of the test that was running; --valgrind: unit binaries run under it, the same; --patience: every deadline is so many times
longer (mk/sanitize.mk).
"""
import argparse
import concurrent.futures
import glob
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import unittest

import reports

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"  # Debian's, which has the packages of scripts/deps.sh
FILE_DEADLINE_S = 300  # one unit binary or one end-to-end file
VALGRIND = False
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))  # every deadline so many times


def colour(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped, self.bad = 0, 0, 0, []
        self.lock = threading.Lock()

    def add(self, kind, name, detail="", seconds=0.0):
        with self.lock:
            self._add(kind, name, detail, seconds)

    def _add(self, kind, name, detail, seconds):
        word = {"pass": colour(32, "ok     "), "fail": colour(31, "FAILED "), "skip": colour(33, "skipped")}[kind]
        took = f" ({seconds:.1f} s)" if seconds >= 1 else ""
        print(f"{word} {name}{took}" + (f": {detail.splitlines()[-1][:300]}" if detail and kind != "pass" else ""), flush=True)
        if kind == "pass":
            self.passed += 1
        elif kind == "skip":
            self.skipped += 1
        else:
            self.failed += 1
            self.bad.append((name, detail))

    def close(self, may_skip_all=False):
        for name, detail in self.bad:
            print(f"\n--- FAILED {name}\n{detail}")
        print()
        line = f"{self.passed} passed, {self.failed} failed"
        if self.skipped:
            line += f", {self.skipped} skipped"
        print(line, flush=True)
        return 0 if self.failed == 0 and (self.passed > 0 or (may_skip_all and self.skipped > 0)) else 1


def run_bounded(argv, env=None, deadline_s=FILE_DEADLINE_S, **kw):
    """Run in its own process group; (exit code, output). The group is killed at the deadline."""
    p = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace", start_new_session=True, cwd=ROOT, **kw)
    try:
        out, _ = p.communicate(timeout=deadline_s)
        return p.returncode, out
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, _ = p.communicate()
        return 124, (out or "") + f"\nno end after {deadline_s} s"


def unit(binary, build, folder=None):
    """[(kind, name, detail)] of one cmocka binary, from its TAP. folder: where a sanitizer's reports go."""
    kind = "unit" if os.path.basename(build) == "build" else f"unit ({os.path.basename(build)})"
    name = f"{kind} " + os.path.relpath(binary, os.path.join(build, "unit"))
    more = reports.environment(os.path.join(folder, os.path.relpath(binary, build))) if folder else {}
    argv = [binary]
    if VALGRIND:
        argv[:0] = reports.valgrind(more[reports.FOLDER])
        more["TEST_VALGRIND"] = "1"
    code, out = run_bounded(argv, {**reports.OPTIONS, **os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **more}, FILE_DEADLINE_S * PATIENCE)
    rows, extra = [], []
    for line in out.splitlines():
        m = re.match(r"(not ok|ok) \d+ (?:- )?(.*)", line)
        if not m:
            extra.append(line)
        elif "# SKIP" in line or m.group(2).startswith("# skip"):
            reason = " ".join(x for x in extra if "skip" in x.lower())[-200:]
            rows.append(("skip", f"{name}: {m.group(2).replace('# SKIP', '').strip()}", reason or "said by the test"))
        elif m.group(1) == "ok":
            rows.append(("pass", f"{name}: {m.group(2)}", ""))
        else:
            rows.append(("fail", f"{name}: {m.group(2)}", "\n".join(out.splitlines()[-60:])))
    if code != 0 and not any(r[0] == "fail" for r in rows):
        rows.append(("fail", name, f"exit code {code}\n" + "\n".join(out.splitlines()[-60:])))
    if not rows:
        rows.append(("fail", name, "printed no test\n" + out[-2000:]))
    told = reports.take(more.get(reports.FOLDER))
    if told:
        rows.append(("fail", f"{name}: a sanitizer reported", told))
    return rows


def fuzz(target, seconds, seed, folder=None):
    """(kind, name, detail) of one replay: its corpus, and when seconds is not 0 changed inputs of it."""
    base = os.path.basename(target)[: -len("_replay")]
    corpus = sorted(glob.glob(os.path.join(ROOT, "tests", "fuzz", "corpus", base, "*")))
    more = reports.environment(os.path.join(folder, "fuzz", base)) if folder else {}
    code, out = run_bounded([target, *corpus], {**os.environ, **more, "FUZZ_S": str(seconds), "FUZZ_SEED": str(seed),
                                                "FUZZ_SAVE": f"{target}.crash"}, (FILE_DEADLINE_S + seconds) * PATIENCE)
    told = reports.take(more.get(reports.FOLDER))
    changed = re.search(r"(\d+) changed inputs$", out.strip())
    name = f"fuzz {base}: {len(corpus)} corpus files" + (f" and changed ones ({seconds} s)" if seconds else "") + " do no harm"
    ok = code == 0 and corpus and not told and changed and (int(changed.group(1)) > 0) == (seconds > 0)
    return ("pass" if ok else "fail", name, "\n".join((out or "no corpus").splitlines()[-60:]) + (told or ""))


def e2e_child(path, word):
    """In the child: import the file, run its tests, one JSON line per result on fd 3."""
    sys.path[:0] = [os.path.join(ROOT, "tests", "e2e"), os.path.dirname(os.path.abspath(path))]
    report = os.fdopen(3, "w")
    reports.stretch(PATIENCE)

    def say(kind, name, detail="", seconds=0.0):
        report.write(json.dumps([kind, name, detail, seconds]) + "\n")
        report.flush()

    spec = importlib.util.spec_from_file_location("e2e_file", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
        tests = [(n, f) for n, f in tests if not word or word in n]
        if not tests:
            return
        if hasattr(module, "setup"):
            module.setup()
    except unittest.SkipTest as e:
        return say("skip", "(file)", str(e))
    except BaseException:
        return say("fail", "(set-up)", traceback.format_exc())
    for name, test in tests:
        started = time.monotonic()
        sentence = (test.__doc__ or name).strip().splitlines()[0]
        try:
            test()
            say("pass", f"{name}: {sentence}", "", time.monotonic() - started)
        except unittest.SkipTest as e:
            say("skip", f"{name}: {sentence}", str(e))
        except BaseException:
            harness = sys.modules.get("harness")
            said = harness.deaths() if harness else ""
            say("fail", f"{name}: {sentence}", said + traceback.format_exc(), time.monotonic() - started)
        told = reports.take(os.environ.get(reports.FOLDER))
        if told:
            say("fail", f"{name}: a sanitizer reported", told)
    if hasattr(module, "teardown"):
        try:
            module.teardown()
        except BaseException:
            say("fail", "(teardown)", traceback.format_exc())


def e2e(path, build, word, tally, deadline_s, folder=None):
    name = os.path.relpath(path, os.path.join(ROOT, "tests"))
    env = {**os.environ, "JOBLOGD": os.path.join(build, "joblogd"), "JOBLOG": os.path.join(build, "joblog"),
           "BUILD": build, "PYTHONUNBUFFERED": "1"}
    if folder:
        env.update(reports.environment(os.path.join(folder, os.path.splitext(name)[0])))
    r, w = os.pipe()
    script = f"exec 3>&{w}; exec {PYTHON} {os.path.abspath(__file__)} --child {path} -k '{word}'"
    p = subprocess.Popen(["bash", "-c", script], env=env, pass_fds=[w], cwd=ROOT, start_new_session=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    os.close(w)
    output = []
    reader = concurrent.futures.ThreadPoolExecutor(1).submit(lambda: output.append(p.stdout.read()))
    killer = concurrent.futures.ThreadPoolExecutor(1)

    def deadline():
        try:
            p.wait(deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            return True
        return False

    late = killer.submit(deadline)
    count = 0
    with os.fdopen(r) as lines:
        for line in lines:
            kind, test, detail, seconds = json.loads(line)
            tally.add(kind, f"{name} {test}", detail, seconds)
            count += 1
    timed_out = late.result()
    try:
        os.killpg(p.pid, signal.SIGKILL)  # what the file left behind
    except ProcessLookupError:
        pass
    reader.result(10)
    text = (output or [""])[0]
    told = reports.take(env.get(reports.FOLDER))
    if told:
        tally.add("fail", f"{name} (end): a sanitizer reported", told)
    if timed_out:
        tally.add("fail", name, f"{text[-3000:]}\nno end after {deadline_s} s")
    elif p.returncode != 0:
        tally.add("fail", name, f"{text[-3000:]}\nexit code {p.returncode}")
    elif count == 0 and not word:
        tally.add("fail", name, "ran no test")


def measures(path):
    with open(path) as f:
        return any(line.rstrip() == "ALONE = True" for line in f)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("--sanitized", help="a second build folder whose unit tests are run too")
    ap.add_argument("--reports", help="a folder for the reports of sanitizers, which are failures")
    ap.add_argument("--valgrind", action="store_true", help="unit binaries run under valgrind (with --reports)")
    ap.add_argument("--room", default="**", help="only the unit binaries of this room")
    ap.add_argument("--patience", type=float, default=1, help="all deadlines so many times")
    ap.add_argument("--only", action="append", choices=["unit", "fuzz", "tidy", "e2e", "fault"])
    ap.add_argument("-k", default="", help="only end-to-end tests whose name contains this")
    ap.add_argument("--deadline", type=int, default=FILE_DEADLINE_S, help="seconds one end-to-end file may take")
    ap.add_argument("--fuzz-s", type=int, default=1, help="seconds of changed inputs for each fuzz target with sanitizers")
    ap.add_argument("--fuzz-seed", type=int, default=1, help="where their changes begin")
    ap.add_argument("--child", help=argparse.SUPPRESS)
    ap.add_argument("files", nargs="*")
    a = ap.parse_args()
    if a.child:
        return e2e_child(a.child, a.k)
    global PATIENCE, VALGRIND
    PATIENCE, VALGRIND = a.patience, a.valgrind
    os.environ["TEST_PATIENCE"] = str(PATIENCE)
    folder = os.path.abspath(a.reports) if a.reports else None
    build = os.path.abspath(a.build)
    kinds = a.only or (["e2e"] if a.files else ["tidy", "unit", "fuzz", "e2e", "fault"])
    tally = Tally()
    if "tidy" in kinds:
        code, out = run_bounded([sys.executable, os.path.join(ROOT, "scripts", "tidy.py")])
        tally.add("pass" if code == 0 else "fail", "tidy: arrows, doors and budgets hold", out)
    for one in [build] + ([os.path.abspath(a.sanitized)] if a.sanitized else []):
        if "unit" not in kinds:
            break
        binaries = sorted(glob.glob(os.path.join(one, "unit", a.room, "*_test"), recursive=True))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for rows in pool.map(lambda b, f=one: unit(b, f, folder), binaries):
                for row in rows:
                    tally.add(*row)
    if "fuzz" in kinds:
        sanitized = os.path.abspath(a.sanitized) if a.sanitized else build if folder else None
        runs = [(build, 0)] * (build != sanitized) + [(sanitized, a.fuzz_s)] * (sanitized is not None)
        targets = [(t, seconds) for one, seconds in runs for t in sorted(glob.glob(os.path.join(one, "fuzz", "*_replay")))]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for row in pool.map(lambda t: fuzz(*t, a.fuzz_seed, folder), targets):
                tally.add(*row)
    if "e2e" in kinds or "fault" in kinds:
        files = a.files or sorted(f for kind in ("e2e", "fault") if kind in kinds
                                  for f in glob.glob(os.path.join(ROOT, "tests", kind, "[0-9]*.py")))
        alone = [f for f in files if measures(f)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda path: e2e(path, build, a.k, tally, a.deadline * PATIENCE, folder), [f for f in files if f not in alone]))
        for path in alone:
            e2e(path, build, a.k, tally, a.deadline * PATIENCE, folder)
    return tally.close(bool(a.files))


if __name__ == "__main__":
    sys.exit(main())
