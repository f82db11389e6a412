#!/usr/bin/python3
"""tests/corpus/failures/make.py -- record the corpus of failures: real programs, a real joblogd, `joblog run`.

usage: make.py [--build DIR] [--torch PYTHON] [CASE…]         (make corpus)

Every case starts its programs (programs/), lets `joblog run` ship what they write, waits for the end (or for
the moment at which a person asks), and writes what joblogd then holds to CASE.jsonl:

    #joblog-recording 1
    #case py-value-error
    #now 2026-11-25T22:00:00.000000Z       when the post-mortem is asked for
    #job {…}                               GET /v1/jobs/J at that moment
    #recv 1764104400123456                 the records that follow were received then
    {"seq":1,…}

What must be concluded from it stands in table.tsv. Recordings are kept in the repository: tests read them and
never run this. Needed to make them: root (memory cgroup, tmpfs, host names), cc, c++, go, rustc, faketime; for
the torch-* cases a Python with PyTorch (--torch), for openmpi-* mpirun. What is missing is said, and the old
recording stays.
"""
import argparse
import contextlib
import datetime
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SOURCES = os.path.join(HERE, "programs")
SCRATCH = "/tmp/train"  # tracebacks show where programs lie: the same for everybody
PROGRAMS = os.path.join(SCRATCH, "src")
PYTHON = "/usr/bin/python3"
CASES = {}
LIVE = set()
VENV = "\0"  # where --torch lies; shown as /venv


def case(live=False, needs=()):
    def take(f):
        name = f.__name__.replace("_", "-")
        CASES[name] = (f, needs)
        if live:
            LIVE.add(name)
        return f
    return take


# ---- the moment of a recording ---------------------------------------------------------------------

def leb(data, at):
    v = shift = 0
    while True:
        b = data[at]
        at += 1
        v |= (b & 0x7F) << shift
        shift += 7
        if b < 0x80:
            return v, at


def zigzag(data, at):
    v, at = leb(data, at)
    return (v >> 1) ^ -(v & 1), at


def runs_of_segment(path):
    """[(first seq, received us)] of a segment, by docs/format-archive.md."""
    data = open(path, "rb").read()
    seek = data.rfind(struct.pack("<I", 0x184D2A5E))
    at = data.rfind(b"JLINDEX1", 0, seek)
    _, entries, seq = struct.unpack_from("<IIQ", data, at + 8)
    at += 48
    runs, recv = [], 0
    for _ in range(entries):
        for _ in range(2):
            _, at = leb(data, at)
        count, at = leb(data, at)
        _, at = leb(data, at)  # levels
        flags, at = leb(data, at)
        _, at = zigzag(data, at)
        _, at = leb(data, at)
        if flags & 4:
            n, at = leb(data, at)
            for _ in range(n):
                _, at = leb(data, at)
        _, at = zigzag(data, at)
        _, at = leb(data, at)
        n, at = leb(data, at)
        first = seq
        for _ in range(n):
            step, at = leb(data, at)
            delta, at = zigzag(data, at)
            first, recv = first + step, recv + delta
            runs.append((first, recv))
        seq += count
    return runs


def received(d, job):
    runs = {}
    for path in glob.glob(os.path.join(d.data, "archive", "*", job, "*.jsonl.zst")):
        runs.update(runs_of_segment(path))
    words = d.redis_cli("--json", "XRANGE", "jl:{default/%s}:log" % job, "-", "+")
    for entry, fields in json.loads(words or "[]"):
        head = fields[fields.index("h") + 1].split()
        runs[int(entry.split("-")[0]) - int(head[1]) + 1] = int(head[2])
    return sorted(runs.items())


def snapshot(d, job, name, later_s=0.0):
    """Write CASE.jsonl. later_s: it is asked so much later (nothing came in between)."""
    records, page, runs = d.records(job), d.job(job), received(d, job)
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=later_s)
    page["id"] = name
    path = os.path.join(HERE, name + ".jsonl")
    with open(path, "w") as f:
        f.write(f"#joblog-recording 1\n#case {name}\n#now {now.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}\n")
        f.write("#job " + json.dumps(page, separators=(",", ":"), ensure_ascii=False) + "\n")
        at = 0
        for r in records:
            while at < len(runs) and runs[at][0] <= r["seq"]:
                f.write(f"#recv {runs[at][1]}\n") if at + 1 == len(runs) or runs[at + 1][0] > r["seq"] else None
                at += 1
            f.write(json.dumps(r, separators=(",", ":"), ensure_ascii=False).replace(VENV, "/venv") + "\n")
    print(f"  {name}: {len(records)} records, {os.path.getsize(path)} bytes, {page['state']}")


# ---- starting things -------------------------------------------------------------------------------

class Stage:
    """A joblogd, a scratch directory, and what runs on it."""

    def __init__(self, d, scratch, a):
        self.d, self.scratch, self.torch, self.procs = d, scratch, a.torch, []
        self.made = {}

    def start(self, job, cmd, rank=None, ranks=None, env=None, wrapper=(), url=None):
        """`joblog run -- cmd`, as rank of ranks."""
        e = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOG_", "RANK", "WORLD_", "OMP"))}
        e.update(JOBLOG_URL=url or self.d.url, PYTHONPATH=PROGRAMS, LC_ALL="C.UTF-8", **(env or {}))
        run = [JOBLOG, "run", "--job", job, "--quiet", "--spool", os.path.join(self.scratch, "spool"), "--flush-timeout", "30s"]
        if rank is not None:
            e.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank))
        if ranks:
            run += ["--ranks", str(ranks)]
        p = subprocess.Popen([*wrapper, *run, "--", *cmd], env=e, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, start_new_session=True, cwd=self.scratch)
        threading.Thread(target=lambda: [sys.stderr.write("    " + x.decode("utf-8", "replace")) for x in p.stderr if b"joblog:" in x],
                         daemon=True).start()
        self.procs.append(p)
        return p

    def fleet(self, job, n, *argv, env=None, wrappers=None, urls=None, per_rank=None):
        """One `joblog run` a rank, all on programs/train.py (or per_rank(rank))."""
        base = {"MASTER_PORT": str(free_port()), **(env or {})}
        for r in range(n):
            cmd = per_rank(r) if per_rank else [PYTHON, os.path.join(PROGRAMS, "train.py"), *argv]
            self.start(job, cmd, r, n, base, (wrappers or {}).get(r, ()), (urls or {}).get(r))

    def wait(self, deadline_s=90):
        end = time.monotonic() + deadline_s
        for p in self.procs:
            p.wait(max(0.1, end - time.monotonic()))
        self.procs = []

    def talking(self, job, lines):
        wait_for(lambda: self.d.get(f"/v1/jobs/{job}").status == 200 and self.d.job(job)["lines"] > lines, 40, f"{job} talks")

    def sealed(self, job):
        wait_for(lambda: self.d.job(job)["sealed"], 40, f"{job} is sealed")
        last = self.d.job(job)["seq"]
        wait_for(lambda: self.d.job(job)["archived_upto"] >= last, 20, f"{job} is archived")

    def end(self, name, deadline_s=90):
        self.wait(deadline_s)
        self.sealed(name)
        snapshot(self.d, name, name)

    def kill(self):
        for p in self.procs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)
            p.wait()
        self.procs = []

    def program(self, source):
        """Build programs/SOURCE; the path of the binary."""
        if source not in self.made:
            src, out = os.path.join(PROGRAMS, source), os.path.join(self.scratch, source.replace(".", "-"))
            cmd = {"c": ["cc", "-w", "-O0", "-o", out, src], "cc": ["c++", "-O0", "-o", out, src],
                   "go": ["go", "build", "-o", out, src], "rs": ["rustc", "-o", out, src]}[source.rsplit(".", 1)[1]]
            env = dict(os.environ, GOCACHE=os.path.join(self.scratch, "go-cache"), GO111MODULE="off")
            subprocess.run(cmd, check=True, env=env, capture_output=True)
            self.made[source] = out
        return self.made[source]


def train(*argv):
    return [PYTHON, os.path.join(PROGRAMS, "train.py"), *argv]


def launcher(style, n, *argv, more=()):
    return [PYTHON, os.path.join(PROGRAMS, "launcher.py"), "--style", style, "-n", str(n), *more, "--", *train(*argv)]


# ---- Python, one rank fails and its peers feel it ------------------------------------------------------

def simple(name, n, *argv, **kw):
    def run(s):
        s.fleet(name, n, *argv, **kw)
        s.end(name)
    CASES[name] = (run, ())


simple("py-value-error", 4, "--fail", "value_error@2")
simple("py-chained", 4, "--fail", "chained@1")
simple("py-during-handling", 3, "--fail", "during_handling@1")
simple("py-rank0", 4, "--fail", "value_error@0")
simple("py-assertion", 4, "--fail", "assertion@3")
simple("py-import-error", 4, "--fail", "import_error@all:0")
simple("py-import-error-one", 4, "--fail", "import_error@1:0")
simple("py-file-not-found", 4, "--fail", "file_not_found@2")
simple("py-permission", 3, "--fail", "permission@1")
simple("py-json", 2, "--fail", "json@1")
simple("py-usage", 2, "--fail", "x@0", "--learning-rate", "3e-4")
simple("py-port-in-use", 3, "--fail", "port_in_use@1")
simple("py-refused", 3, "--fail", "refused@2")
simple("py-subprocess", 3, "--fail", "subprocess@2")
simple("nan-loss", 4, "--fail", "nan_loss@1")
simple("host-oom", 3, "--fail", "host_oom@1", env={"OPENBLAS_NUM_THREADS": "1"})
simple("exit-code-only", 4, "--fail", "exit_code@2")
simple("exit-code-alone", 3, "--alone", "--fail", "exit_code@2")
simple("sigkill", 4, "--fail", "sigkill@3")
simple("sigterm", 4, "--fail", "peer@1")
simple("segfault-faulthandler", 4, "--fail", "segfault@2")
simple("healthy", 4)
simple("single", 1, "--alone", "--fail", "value_error@0")
simple("handled-healthy", 4, "--handled", "1:5", "--steps", "60")
simple("handled-then-failed", 4, "--handled", "1:5", "--steps", "80", "--fail", "file_not_found@3:70")
simple("handled-then-sigkill", 4, "--handled", "1:5", "--steps", "80", "--fail", "sigkill@2:70")
simple("two-failures", 4, "--alone", "--fail", "value_error@1", "--fail", "file_not_found@3")

# ---- GPUs: the libraries' words ---------------------------------------------------------------------

simple("cuda-oom", 4, "--fail", "cuda_oom@3")
simple("cuda-ecc", 4, "--fail", "cuda_ecc@1")
simple("cuda-assert", 4, "--fail", "cuda_assert@2")
simple("xid", 4, "--fail", "xid@1")
simple("nccl-system", 4, "--fail", "nccl_system@2")
simple("cuda-oom-nccl", 8, "--alone", "--fail", "cuda_oom@3", *[x for r in range(8) if r != 3 for x in ("--fail", f"nccl_timeout@{r}")])
simple("sigkill-nccl", 4, "--alone", "--fail", "sigkill@2", *[x for r in (0, 1, 3) for x in ("--fail", f"nccl_timeout@{r}")])
simple("nccl-timeout-all", 4, "--alone", *[x for r in range(4) for x in ("--fail", f"nccl_timeout@{r}")])


@case()
def nccl_timeout_stuck(s):
    # rank 2 is stuck somewhere and says nothing; its peers' watchdogs end them; then its agent is ended with it
    s.fleet("nccl-timeout-stuck", 4, "--alone", "--fail", "stuck@2:10",
            *[x for r in (0, 1, 3) for x in ("--fail", f"nccl_timeout@{r}:14")])
    for r in (0, 1, 3):
        s.procs[r].wait(60)
    os.killpg(s.procs[2].pid, signal.SIGTERM)
    s.end("nccl-timeout-stuck")


@case()
def nccl_timeout_killed(s):
    # the same, but whoever watches over the job kills the stuck process some seconds after its peers gave up
    name = "nccl-timeout-killed"
    s.fleet(name, 4, "--alone", "--fail", "stuck@2:10", *[x for r in (0, 1, 3) for x in ("--fail", f"nccl_timeout@{r}:14")])
    for r in (0, 1, 3):
        s.procs[r].wait(60)
    time.sleep(6.5)
    child = subprocess.run(["pgrep", "-P", str(s.procs[2].pid)], check=True, capture_output=True, text=True).stdout
    os.kill(int(child), signal.SIGKILL)
    s.end(name)


# ---- other languages, signals, memory, disks ----------------------------------------------------------

def crash(name, source, *argv, env=None):
    def run(s):
        s.fleet(name, 3, "--fail", "crash@1", env={"CRASH": " ".join([s.program(source), *argv]), **(env or {})})
        s.end(name)
    CASES[name] = (run, ())


crash("segfault-c", "crash.c", "segv")
crash("abort-glibc", "crash.c", "free")
crash("abort-assert", "crash.c", "assert")
crash("bus-error", "crash.c", "bus")
crash("abort-cpp", "crash.cc")
crash("panic-go", "crash.go")
crash("panic-rust", "crash.rs", env={"RUST_BACKTRACE": "1"})


@case()
def oom_killed(s):
    group = "/sys/fs/cgroup/memory/joblog-corpus"
    os.makedirs(group, exist_ok=True)
    open(group + "/memory.limit_in_bytes", "w").write(str(96 << 20))
    try:
        s.fleet("oom-killed", 4, "--fail", "eat@1", env={"CGROUP": group})
        s.end("oom-killed")
    finally:
        wait_for(lambda: not open(group + "/cgroup.procs").read(), 10, "the cgroup is empty")
        os.rmdir(group)


@case()
def disk_full(s):
    disk = os.path.join(s.scratch, "disk")
    os.makedirs(disk, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    try:
        s.fleet("disk-full", 4, "--fail", "disk_full@0", env={"CKPT_DIR": disk})
        s.end("disk-full")
    finally:
        subprocess.run(["umount", disk], check=True)


# ---- launchers -----------------------------------------------------------------------------------------

@case()
def launcher_torchrun(s):
    s.start("launcher-torchrun", launcher("torchrun", 4, "--fail", "value_error@2"), ranks=None,
            env={"MASTER_PORT": str(free_port())})
    s.end("launcher-torchrun")


@case()
def launcher_torchrun_sigkill(s):
    s.start("launcher-torchrun-sigkill", launcher("torchrun", 4, "--fail", "sigkill@1"), env={"MASTER_PORT": str(free_port())})
    s.end("launcher-torchrun-sigkill")


@case()
def launcher_two_nodes(s):
    # two nodes of four ranks, each with an agent of its own and torchrun's local prefixes
    port = str(free_port())
    for node in range(2):
        s.start("launcher-two-nodes", launcher("torchrun", 4, "--fail", "file_not_found@5", more=("--world", "8", "--first-rank", str(4 * node))),
                env={"MASTER_PORT": port}, wrapper=("unshare", "--uts", "sh", "-c", f'hostname node-{node}; exec "$@"', "sh"))
    s.end("launcher-two-nodes")


@case()
def launcher_srun(s):
    s.start("launcher-srun", launcher("srun", 4, "--fail", "file_not_found@3"), env={"MASTER_PORT": str(free_port())})
    s.end("launcher-srun")


@case()
def launcher_mpirun(s):
    s.start("launcher-mpirun", launcher("mpirun", 4, "--fail", "sigkill@2"), env={"MASTER_PORT": str(free_port())})
    s.end("launcher-mpirun")


def torchrun(s, name, n, *argv, more=(), env=None):
    port = str(free_port())
    s.start(name, [s.torch, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "--master-port", port, *more,
                   os.path.join(PROGRAMS, "ddp.py"), *argv], env={"OMP_NUM_THREADS": "1", **(env or {})})
    s.end(name, 180)


def torch_case(name, n, *argv, more=(), env=None):
    CASES[name] = (lambda s: torchrun(s, name, n, *argv, more=more, env=env), ("torch",))


torch_case("torch-value-error", 4, "--fail", "value_error@2")
torch_case("torch-tee", 4, "--fail", "value_error@1", more=("--tee", "3"))
torch_case("torch-sigkill", 4, "--fail", "sigkill@3")
torch_case("torch-segfault", 4, "--fail", "segfault@1")
torch_case("torch-record", 3, "--record", "--fail", "value_error@1")
torch_case("torch-restart", 2, "--fail", "value_error@0", "--fail-again", "file_not_found@1", more=("--max-restarts", "1"))
torch_case("torch-worker-killed", 2, "--fail", "worker_killed@1")
torch_case("torch-worker-error", 2, "--fail", "worker_error@1")
torch_case("torch-checkpoint", 2, "--fail", "checkpoint@0")
torch_case("torch-shape", 2, "--fail", "shape@1")
torch_case("torch-timeout", 3, "--fail", "stuck@1", env={"GLOO_TIMEOUT": "4"})


@case(needs=("torch",))
def torch_port_in_use(s):
    with socket.socket() as held:
        held.bind(("0.0.0.0", 0))
        held.listen()
        s.start("torch-port-in-use", [s.torch, os.path.join(PROGRAMS, "ddp.py"), "--steps", "3"], 0, 2,
                {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(held.getsockname()[1]), "OMP_NUM_THREADS": "1"})
        s.procs[0].wait(60)
    # rank 1 never came: the job ends without it
    s.sealed("torch-port-in-use")
    s.end("torch-port-in-use")


@case(needs=("mpirun",))
def openmpi_exit(s):
    s.start("openmpi-exit", ["mpirun", "--allow-run-as-root", "--oversubscribe", "--tag-output", "-n", "4", "sh", "-c",
                             'RANK=$OMPI_COMM_WORLD_RANK WORLD_SIZE=4 exec "$@"', "sh", *train("--fail", "value_error@2")],
            env={"MASTER_PORT": str(free_port())})
    s.end("openmpi-exit")


@case(needs=("mpirun",))
def openmpi_signal(s):
    s.start("openmpi-signal", ["mpirun", "--allow-run-as-root", "--oversubscribe", "--tag-output", "-n", "4", "sh", "-c",
                               'RANK=$OMPI_COMM_WORLD_RANK WORLD_SIZE=4 exec "$@"', "sh", *train("--fail", "sigkill@1")],
            env={"MASTER_PORT": str(free_port())})
    s.end("openmpi-signal")


# ---- the job's states ------------------------------------------------------------------------------------

@case()
def deploy_failed(s):
    d, name = s.d, "deploy-failed"
    d.post("/v1/jobs", {"id": name, "ranks": 2})
    d.event(name, "DEPLOYING")
    d.post_lines(name, ["Pulling image registry.example.com/team/train:2026-11-25",
                        "Failed to pull image \"registry.example.com/team/train:2026-11-25\": rpc error: code = NotFound desc = "
                        "failed to pull and unpack image: failed to resolve reference: not found",
                        "Error: ErrImagePull", "Back-off pulling image \"registry.example.com/team/train:2026-11-25\"",
                        "Error: ImagePullBackOff"])
    d.event(name, "DEPLOY_FAILED", message="ImagePullBackOff: Back-off pulling image \"registry.example.com/team/train:2026-11-25\"")
    s.end(name)


@case()
def deploy_quota(s):
    d, name = s.d, "deploy-quota"
    d.post("/v1/jobs", {"id": name, "ranks": 2})
    d.event(name, "DEPLOYING")
    d.event(name, "DEPLOY_FAILED", message="no capacity for 2 x 8xH100 in us-east within 30m")
    s.end(name)


@case()
def bad_image(s):
    name = "bad-image"
    wrong = os.path.join(s.scratch, "train-arm64")
    with open(wrong, "wb") as f:
        f.write(b"\x7fELF" + bytes(60))
    os.chmod(wrong, 0o755)
    s.fleet(name, 2, per_rank=lambda r: ["/bin/sh", "-c", f"exec {wrong}"])
    s.end(name)


@case()
def command_missing(s):
    s.fleet("command-missing", 2, per_rank=lambda r: ["/usr/local/bin/train-llm", "--steps", "3"])
    s.end("command-missing")


@case()
def stopped(s):
    name = "stopped"
    s.fleet(name, 4, "--steps", "400")
    s.talking(name, 60)
    s.d.event(name, "STOPPED", message="stopped by ada@example.com")
    for p in s.procs:
        p.send_signal(signal.SIGINT)
    s.end(name)


# ---- clocks, delays, many --------------------------------------------------------------------------------------

@case(needs=("faketime",))
def clock_skew(s):
    # rank 1's clock is 30 s behind: its consequence bears an earlier time than the cause on rank 2
    s.fleet("clock-skew", 4, "--fail", "value_error@2", wrappers={1: ("faketime", "-f", "-30s")})
    s.end("clock-skew")


@case(needs=("faketime",))
def clock_skew_ahead(s):
    # the culprit's clock is 20 s ahead: its error bears a later time than its consequences
    s.fleet("clock-skew-ahead", 4, "--fail", "value_error@2", wrappers={2: ("faketime", "-f", "+20s")})
    s.end("clock-skew-ahead")


class Slow:
    """A proxy to joblogd that can hold its breath: what a bad network does to one rank's lines."""

    def __init__(self, port):
        self.to, self.open, self.listener = port, threading.Event(), socket.socket()
        self.open.set()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            b = socket.create_connection(("127.0.0.1", self.to))
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.pour, args=(x, y), daemon=True).start()

    def pour(self, x, y):
        with contextlib.suppress(OSError):
            while data := x.recv(65536):
                self.open.wait()
                y.sendall(data)
        with contextlib.suppress(OSError):
            y.shutdown(socket.SHUT_WR)


@case()
def late_lines(s):
    # the culprit's network stalls before its end: its last lines and its exit come after the cascade
    slow = Slow(s.d.port)
    s.fleet("late-lines", 4, "--fail", "file_not_found@2:30", urls={2: slow.url})
    s.talking("late-lines", 20)
    slow.open.clear()
    for r in (0, 1, 3):
        s.procs[r].wait(60)
    wait_for(lambda: s.d.job("late-lines")["state"] == "TRAINING_JOB_FAILED", 20, "failed")
    slow.open.set()
    s.end("late-lines")


@case()
def ranks_64(s):
    hosts = {r: ("unshare", "--uts", "sh", "-c", f'hostname node-{r // 8}; exec "$@"', "sh") for r in range(64)}
    s.fleet("ranks-64", 64, "--fail", "file_not_found@37:6", "--steps", "12", wrappers=hosts)
    s.end("ranks-64", 200)


@case()
def lost_agent(s):
    # the whole node of rank 1 is gone, agent and all: nobody says how it ended
    name = "lost-agent"
    s.fleet(name, 4, "--steps", "400")
    s.talking(name, 60)
    os.killpg(s.procs[1].pid, signal.SIGKILL)
    s.end(name)


# ---- live: is it hung? -------------------------------------------------------------------------------------------

def live(name, n, *argv, ranks=None, later_s=0.0, seconds=45.0, run=None):
    def do(s):
        if run:
            run(s)
        else:
            s.fleet(name, n, *argv)
        time.sleep(seconds)
        snapshot(s.d, name, name, later_s)
        s.kill()
    CASES[name] = (do, ())
    LIVE.add(name)


live("hung-one-silent", 4, "--alone", "--steps", "4000", "--pace", "0.25", "--fail", "stuck@2:80", seconds=70)
live("hung-one-error", 4, "--alone", "--steps", "4000", "--pace", "0.25", "--fail", "thread@1:20")
live("hung-all-silent", 4, "--steps", "4000", "--pace", "0.05", "--fail", "stuck@2:60", later_s=900, seconds=8)
live("running-healthy", 4, "--steps", "4000", "--pace", "0.25", seconds=20)


def never(s):
    port = {"MASTER_PORT": str(free_port())}
    for r in (0, 1, 3):
        s.start("hung-never-started", train("--steps", "4"), r, 4, port)


live("hung-never-started", 4, run=never, later_s=600, seconds=6)


# ---- all -----------------------------------------------------------------------------------------------------------

def missing(needs, a):
    have = {"torch": a.torch and subprocess.run([a.torch, "-c", "import torch"], capture_output=True).returncode == 0,
            "mpirun": shutil.which("mpirun"), "faketime": shutil.which("faketime")}
    return [n for n in needs if not have[n]]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"), help="a Python that has PyTorch (2.x, CPU will do)")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    os.environ["JOBLOGD"], os.environ["JOBLOG"] = os.path.join(a.build, "joblogd"), os.path.join(a.build, "joblog")
    sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
    global wait_for, free_port, JOBLOG, VENV
    if a.torch:
        VENV = os.path.dirname(os.path.dirname(a.torch))
    from harness import JOBLOG, Joblogd, free_port, wait_for
    wanted = a.cases or list(CASES)
    os.mkdir(SCRATCH)
    shutil.copytree(SOURCES, PROGRAMS)
    bad = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # not ignored, as in a background job of a shell
    try:
        with Joblogd("--drain-time", "10s") as d:
            for name in wanted:
                run, needs = CASES[name]
                lack = missing(needs, a)
                if lack:
                    print(f"  {name}: left as it is: no {', '.join(lack)}")
                    continue
                s = Stage(d, SCRATCH, a)
                try:
                    run(s)
                except Exception as e:
                    print(f"  {name}: FAILED: {e!r}")
                    bad.append(name)
                finally:
                    s.kill()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
