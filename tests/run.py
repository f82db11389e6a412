#!/usr/bin/python3
"""tests/run.py -- run every test and close with `N passed, N failed` (`, N skipped` when some were).

usage: tests/run.py [--build DIR] [--sanitized DIR] [--only unit|fuzz|tidy|e2e|fault] [-k WORD] [FILE…]

Unit binaries are cmocka programs (DIR/unit/…), run two at a time; fuzz corpora are replayed through
DIR/fuzz/*_replay; end-to-end files (tests/e2e/NN-room-what.py, tests/fault/*.py) are run one after
another, each in a process of its own: every function test_* is a test, its docstring the sentence
that must hold. unittest.SkipTest skips with its reason.
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
import time
import traceback
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE_DEADLINE_S = 300  # one unit binary or one end-to-end file


def colour(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped, self.bad = 0, 0, 0, []

    def add(self, kind, name, detail="", seconds=0.0):
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

    def close(self):
        for name, detail in self.bad:
            print(f"\n--- FAILED {name}\n{detail}")
        print()
        line = f"{self.passed} passed, {self.failed} failed"
        if self.skipped:
            line += f", {self.skipped} skipped"
        print(line, flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


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


def unit(binary, build):
    """[(kind, name, detail)] of one cmocka binary, from its TAP."""
    kind = "unit" if os.path.basename(build) == "build" else f"unit ({os.path.basename(build)})"
    name = f"{kind} " + os.path.relpath(binary, os.path.join(build, "unit"))
    code, out = run_bounded([binary], {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
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
    return rows


def e2e_child(path, word):
    """In the child: import the file, run its tests, one JSON line per result on fd 3."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
    report = os.fdopen(3, "w")

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
            say("fail", f"{name}: {sentence}", traceback.format_exc(), time.monotonic() - started)
    if hasattr(module, "teardown"):
        try:
            module.teardown()
        except BaseException:
            say("fail", "(teardown)", traceback.format_exc())


def e2e(path, build, word, tally):
    name = os.path.relpath(path, os.path.join(ROOT, "tests"))
    env = {**os.environ, "JOBLOGD": os.path.join(build, "joblogd"), "JOBLOG": os.path.join(build, "joblog"),
           "BUILD": build, "PYTHONUNBUFFERED": "1"}
    r, w = os.pipe()
    script = f"exec 3>&{w}; exec {sys.executable} {os.path.abspath(__file__)} --child {path} -k '{word}'"
    p = subprocess.Popen(["bash", "-c", script], env=env, pass_fds=[w], cwd=ROOT, start_new_session=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    os.close(w)
    output = []
    reader = concurrent.futures.ThreadPoolExecutor(1).submit(lambda: output.append(p.stdout.read()))
    killer = concurrent.futures.ThreadPoolExecutor(1)

    def deadline():
        try:
            p.wait(FILE_DEADLINE_S)
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
    if timed_out:
        tally.add("fail", name, f"{text[-3000:]}\nno end after {FILE_DEADLINE_S} s")
    elif p.returncode != 0:
        tally.add("fail", name, f"{text[-3000:]}\nexit code {p.returncode}")
    elif count == 0 and not word:
        tally.add("fail", name, "ran no test")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("--sanitized", help="a second build folder whose unit tests are run too")
    ap.add_argument("--only", action="append", choices=["unit", "fuzz", "tidy", "e2e", "fault"])
    ap.add_argument("-k", default="", help="only end-to-end tests whose name contains this")
    ap.add_argument("--child", help=argparse.SUPPRESS)
    ap.add_argument("files", nargs="*")
    a = ap.parse_args()
    if a.child:
        return e2e_child(a.child, a.k)
    build = os.path.abspath(a.build)
    kinds = a.only or (["e2e"] if a.files else ["tidy", "unit", "fuzz", "e2e", "fault"])
    tally = Tally()
    if "tidy" in kinds:
        code, out = run_bounded([sys.executable, os.path.join(ROOT, "scripts", "tidy.py")])
        tally.add("pass" if code == 0 else "fail", "tidy: arrows, doors and budgets hold", out)
    for folder in [build] + ([os.path.abspath(a.sanitized)] if a.sanitized else []):
        if "unit" not in kinds:
            break
        binaries = sorted(glob.glob(os.path.join(folder, "unit", "**", "*_test"), recursive=True))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for rows in pool.map(lambda b, f=folder: unit(b, f), binaries):
                for row in rows:
                    tally.add(*row)
    if "fuzz" in kinds:
        for target in sorted(glob.glob(os.path.join(build, "fuzz", "*_replay"))):
            base = os.path.basename(target)[: -len("_replay")]
            corpus = sorted(glob.glob(os.path.join(ROOT, "tests", "fuzz", "corpus", base, "*")))
            code, out = run_bounded([target, *corpus])
            ok = code == 0 and corpus
            tally.add("pass" if ok else "fail", f"fuzz {base}: {len(corpus)} corpus files do no harm", out or "no corpus")
    for kind in ("e2e", "fault"):
        if kind in kinds:
            files = a.files or sorted(glob.glob(os.path.join(ROOT, "tests", kind, "[0-9]*.py")))
            for path in files:
                e2e(path, build, a.k, tally)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
