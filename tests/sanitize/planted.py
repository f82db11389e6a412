#!/usr/bin/python3
"""tests/sanitize/planted.py -- do the tests notice what a sanitizer says of a joblogd that answers well? (`make sanitize-planted`)

Each bug of planted.c is woken in a joblogd that one end-to-end test runs, which passes by itself; tests/run.py must fail, and
name the bug. Without a bug it must pass.
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLANTS = [  # build, PLANTED, what the report says
    ("build-address-undefined", "", None),
    ("build-address-undefined", "leak", "LeakSanitizer: detected memory leaks"),
    ("build-address-undefined", "freed", "AddressSanitizer: heap-use-after-free"),
    ("build-address-undefined", "overflow", "runtime error: signed integer overflow"),
    ("build-address-undefined", "abort", "AddressSanitizer: ABRT"),
    ("build-thread", "", None),
    ("build-thread", "race", "ThreadSanitizer: data race"),
    ("build-thread", "abort", "ThreadSanitizer: ABRT"),
]


def run(build, plant):
    """(exit code, output) of one test whose joblogd has the bug."""
    folder = os.path.join(ROOT, build, "planted")
    joblog = os.path.join(folder, "joblog")
    if not os.path.exists(joblog):
        os.symlink("../joblog", joblog)
    p = subprocess.run(["/usr/bin/python3", "tests/run.py", "--build", folder, "--reports", os.path.join(folder, "reports"), "--patience", "5",
                        "-k", "ack_counts", "tests/e2e/10-ingest-http.py"], cwd=ROOT, env={**os.environ, "PLANTED": plant},
                       capture_output=True, text=True, timeout=300)
    return p.returncode, p.stdout


def main():
    missed = 0
    wanted = [p for p in PLANTS if not sys.argv[1:] or p[0] in sys.argv[1:]]
    for build, plant, words in wanted:
        code, out = run(build, plant)
        ok = (code == 1 and words in out and "1 passed, 1 failed" in out) if words else (code == 0 and "1 passed, 0 failed" in out)
        missed += not ok
        print(f"{'ok     ' if ok else 'FAILED '} {build} {plant or 'nothing planted'}: {words or 'no report'}", flush=True)
        if not ok:
            print(out)
    print(f"\n{len(wanted) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
