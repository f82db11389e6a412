#!/usr/bin/python3
"""launcher.py -- starts ranks on one node and ends them all when one fails, in the words of known launchers.

usage: launcher.py --style torchrun|srun|mpirun -n N [--first-rank R] -- CMD …

torchrun: lines as `[default3]:…` (--tee), SIGTERM to the others at the first failure, the closing report of
ChildFailedError. srun: `3: …` (--label) and srun's errors. mpirun: `[1,3]<stderr>:…` (--tag-output) and
mpirun's notice.
"""
import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time

p = argparse.ArgumentParser()
p.add_argument("--style", choices=["torchrun", "srun", "mpirun"], required=True)
p.add_argument("-n", type=int, required=True)
p.add_argument("--world", type=int, default=0)
p.add_argument("--first-rank", type=int, default=0)
p.add_argument("cmd", nargs=argparse.REMAINDER)
a = p.parse_args()
cmd = a.cmd[1:] if a.cmd[:1] == ["--"] else a.cmd
world = a.world or a.n
name = os.path.basename(next((c for c in cmd if c.endswith(".py")), cmd[0]))
host = socket.gethostname()
out_lock = threading.Lock()


def prefix(local, stream):
    rank = a.first_rank + local
    if a.style == "torchrun":
        return f"[default{local}]:"
    return f"{rank}: " if a.style == "srun" else f"[1,{rank}]<{stream}>:"


def pour(pipe, local, stream):
    for line in pipe:
        with out_lock:
            to = sys.stdout if stream == "stdout" else sys.stderr
            to.write(prefix(local, stream) + line)
            to.flush()


workers, pipes = [], []
for local in range(a.n):
    env = dict(os.environ, RANK=str(a.first_rank + local), LOCAL_RANK=str(local), WORLD_SIZE=str(world))
    w = subprocess.Popen(cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    workers.append(w)
    for pipe, stream in ((w.stdout, "stdout"), (w.stderr, "stderr")):
        t = threading.Thread(target=pour, args=(pipe, local, stream), daemon=True)
        t.start()
        pipes.append(t)

ended, failed = {}, []  # local -> (code, time); order of failures
while len(ended) < a.n and not failed:
    for local, w in enumerate(workers):
        if local not in ended and w.poll() is not None:
            ended[local] = (w.returncode, time.time())
            if w.returncode:
                failed.append(local)
    time.sleep(0.1)
if not failed:
    sys.exit(0)


def say(text):
    with out_lock:
        print(text, file=sys.stderr, flush=True)


stamp = time.strftime("%m%d %H:%M:%S") + ".%03d000" % (time.time_ns() // 10**6 % 1000)
first = failed[0]
code = ended[first][0]
for local, w in enumerate(workers):
    if w.poll() is None:
        if a.style == "torchrun":
            say(f"W{stamp} {os.getpid()} torch/distributed/elastic/multiprocessing/api.py:900] Sending process {w.pid} "
                f"closing signal SIGTERM")
        w.send_signal(signal.SIGTERM)
end = time.monotonic() + 5
for local, w in enumerate(workers):
    try:
        w.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        w.kill()
        w.wait()
for t in pipes:
    t.join(2)


def failure(index, local):
    code, at = ended[local]
    sig = f"Signal {-code} ({signal.Signals(-code).name}) received by PID {workers[local].pid}" if code < 0 else ""
    return (f"[{index}]:\n"
            f"  time      : {time.strftime('%Y-%m-%d_%H:%M:%S', time.localtime(at))}\n"
            f"  host      : {host}\n"
            f"  rank      : {a.first_rank + local} (local_rank: {local})\n"
            f"  exitcode  : {code} (pid: {workers[local].pid})\n"
            f"  error_file: <N/A>\n"
            f"  traceback : {sig or 'To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html'}")


if a.style == "torchrun":
    say(f"E{stamp} {os.getpid()} torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: {code}) "
        f"local_rank: {first} (pid: {workers[first].pid}) of binary: {cmd[0]}")
    others = [failure(i + 1, local) for i, local in enumerate(failed[1:])] or ["  <NO_OTHER_FAILURES>"]
    say("Traceback (most recent call last):\n"
        f'  File "/usr/lib/python3/dist-packages/torch/distributed/run.py", line 896, in run\n'
        "    elastic_launch(\n"
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
        + "=" * 60 + f"\n{name} FAILED\n" + "-" * 60 + "\nFailures:\n" + "\n".join(others) + "\n" + "-" * 60 +
        "\nRoot Cause (first observed failure):\n" + failure(0, first) + "\n" + "=" * 60)
elif a.style == "srun":
    for local in failed:
        code = ended[local][0]
        rank = a.first_rank + local
        if code < 0:
            say(f"srun: error: {host}: task {rank}: {signal.strsignal(-code)}")
        else:
            say(f"srun: error: {host}: task {rank}: Exited with exit code {code}")
    say(f"srun: Terminating StepId=4711.0\nslurmstepd: error: *** STEP 4711.0 ON {host} CANCELLED AT "
        f"{time.strftime('%Y-%m-%dT%H:%M:%S')} ***")
    say(f"srun: error: {host}: tasks {','.join(str(a.first_rank + i) for i in range(a.n) if i not in failed)}: Terminated")
else:
    bar = "-" * 74
    rank = a.first_rank + first
    if code < 0:
        say(f"{bar}\nmpirun noticed that process rank {rank} with PID {workers[first].pid} on node {host} exited on "
            f"signal {-code} ({signal.strsignal(-code)}).\n{bar}")
    else:
        say(f"{bar}\nPrimary job  terminated normally, but 1 process returned\na non-zero exit code. Per user-direction, "
            f"the job has been aborted.\n{bar}\n{bar}\nmpirun detected that one or more processes exited with non-zero "
            f"status, thus causing\nthe job to be terminated. The first process to do so was:\n\n"
            f"  Process name: [[4711,1],{rank}]\n  Exit code:    {code}\n{bar}")
sys.exit(code if code > 0 else 128 - code)
