"""tests/unit/digest/corpus/make.py -- run the programs beside it and keep what they print, as *.log.

Usage: make.py [NAME…]. Needs python3.11 (with rich for one), g++, go, rustc and Open MPI; a program whose tool is not
there is left out and its log stays. Paths of the run become /work; addresses and pids are kept as they came.
The logs under docs-*.log are written by hand after the formats' documentation, with values of our own.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
PYTHON = os.environ.get("PYTHON", sys.executable)
# Other interpreters for the one program whose traceback must have one fingerprint in all of them.
OTHERS = {"38": "python3.8", "312": "python3.12", "313": "python3.13"}


def run(command, **env):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          env={**os.environ, "PYTHONUNBUFFERED": "1", **env}, preexec_fn=lambda: __import__("resource").setrlimit(
                              __import__("resource").RLIMIT_CORE, (0, 0)))
    return done.stdout.decode("utf-8", "replace")


def main():
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copytree(PROGRAMS, os.path.join(tmp, "p"))
        os.chdir(os.path.join(tmp, "p"))
        plan = []
        for name in sorted(os.listdir(".")):
            base, ext = os.path.splitext(name)
            out = os.path.join(tmp, base + ".bin")
            if ext == ".py" and base == "mpi":
                if shutil.which("mpirun"):
                    plan.append(("mpi", lambda n=name: run(["mpirun", "--allow-run-as-root", "--oversubscribe", "--tag-output", "-n", "3", PYTHON, n])))
            elif ext == ".py":
                plan.append((base, lambda n=name: run([PYTHON, n])))
                if base == "chained":
                    for tag, other in OTHERS.items():
                        if shutil.which(other):
                            plan.append((f"chained-{tag}", lambda n=name, o=other: run([o, n])))
            elif ext == ".cc" and shutil.which("g++"):
                flags = ["-fsanitize=address", "-g"] if base == "overflow" else []
                plan.append((base, lambda n=name, o=out, f=flags: run(["g++", *f, "-O0", n, "-o", o]) + run([o])))
            elif ext == ".go" and shutil.which("go"):
                plan.append((base + "-go", lambda n=name, o=out: run(["go", "build", "-o", o, n], GOCACHE=tmp + "/go", GOPATH=tmp + "/gopath") + run([o])))
            elif ext == ".rs" and shutil.which("rustc"):
                plan.append((base + "-rs", lambda n=name, o=out: run(["rustc", "-g", n, "-o", o]) + run([o], RUST_BACKTRACE="0")))
                plan.append((base + "-rs-backtrace", lambda n=name, o=out: run(["rustc", "-g", n, "-o", o]) + run([o], RUST_BACKTRACE="1")))
        for name, make in plan:
            if wanted and name not in wanted:
                continue
            text = make().replace(os.path.realpath(tmp), "/work").replace(tmp, "/work")
            text = re.sub(r"/(root|home)/[^\s\"':]*/", "/opt/", text)
            with open(os.path.join(HERE, name + ".log"), "w", encoding="utf-8") as f:
                f.write(text)
            print(name, text.count("\n"), "lines")


if __name__ == "__main__":
    main()
