"""scripts/fuzz_coverage.py BUILD NAME… -- how much of the files a fuzz target is for its corpus reaches.

A target names them in its header: ` * Covers  job/record.c job/frame.c`. BUILD holds replays built by clang with
-fprofile-instr-generate -fcoverage-mapping (make fuzz-coverage). Prints a line per target and per file; exits 1 when a
target's lines are reached to less than 85 %.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEAST = 85.0  # per cent of lines


def covers(name):
    """The files that tests/fuzz/NAME_fuzz.c is for."""
    head = open(f"{ROOT}/tests/fuzz/{name}_fuzz.c").read().split("*/")[0]
    m = re.search(r"^ \* Covers +((?:.|\n \*  +)+)", head, re.M)
    if not m:
        sys.exit(f"tests/fuzz/{name}_fuzz.c: its header names no file (` * Covers  …`)")
    files = m.group(1).replace("\n *", " ").split()
    missing = [f for f in files if not os.path.exists(f"{ROOT}/{f}")]
    if missing:
        sys.exit(f"tests/fuzz/{name}_fuzz.c: there is no {' '.join(missing)}")
    return files


def tool(name):
    """llvm-cov, llvm-cov-14 …: the one there is."""
    for d in os.environ["PATH"].split(":") + sorted(glob.glob("/usr/lib/llvm-*/bin"), reverse=True):
        if os.access(os.path.join(d, name), os.X_OK):
            return os.path.join(d, name)
    sys.exit(f"{name} is missing (package llvm)")


def measure(build, name):
    """{file: (lines reached, lines)} of the corpus of name."""
    binary, raw = f"{build}/fuzz/{name}_replay", f"{build}/{name}.profraw"
    corpus = sorted(glob.glob(f"{ROOT}/tests/fuzz/corpus/{name}/*"))
    subprocess.run([binary, *corpus], check=True, env={**os.environ, "LLVM_PROFILE_FILE": raw}, stderr=subprocess.DEVNULL)
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", raw, "-o", f"{build}/{name}.profdata"], check=True)
    out = subprocess.run([tool("llvm-cov"), "export", "-summary-only", f"-instr-profile={build}/{name}.profdata", binary],
                         check=True, capture_output=True, text=True).stdout
    found = {os.path.relpath(f["filename"], ROOT): f["summary"]["lines"] for f in json.loads(out)["data"][0]["files"]}
    absent = [f for f in covers(name) if f not in found]
    if absent:
        sys.exit(f"tests/fuzz/{name}_fuzz.c covers {' '.join(absent)}, but is not linked with it")
    return {f: (found[f]["covered"], found[f]["count"]) for f in covers(name)}, len(corpus)


def main():
    bad = 0
    for name in sys.argv[2:]:
        files, inputs = measure(os.path.join(ROOT, sys.argv[1]), name)
        hit, count = (sum(v[i] for v in files.values()) for i in (0, 1))
        part = 100.0 * hit / count
        bad += part < LEAST
        print(f"{name:14} {part:5.1f} % of {count} lines, {inputs} inputs{'' if part >= LEAST else '   TOO LITTLE'}")
        for f, (a, b) in files.items():
            print(f"    {f:32} {100.0 * a / b:5.1f} %")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
