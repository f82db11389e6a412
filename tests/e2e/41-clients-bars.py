"""tests/e2e/41-clients-bars.py -- several progress bars of one rank at once, as tqdm and rich draw them: live rows, not lines."""
import os
import shutil
import subprocess
import sys
import tempfile

from harness import JOBLOG, ROOT, Joblogd, wait_for
from terminal import Tmux, environment

server = None
state_dir = None
BARS = os.path.join(ROOT, "tests/unit/clients/cli/bars")
# what was recorded of the real program, in its pieces; then what a running one would do: both bars go on until the file is there
PROGRAM = r"""
import os, sys, time
data = open(sys.argv[1], "rb").read()
for i in range(0, len(data), 97):
    os.write(2, data[i:i + 97])
k = 0
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    k += 1
    os.write(2, f"\router: {k % 100:3d}%|##  | {k}\n\rinner: {k * 7 % 100:3d}%|#   | {k}\x1b[A".encode())
    time.sleep(0.05)
if len(sys.argv) > 2:
    os.write(2, b"\n\nall done\n")
"""


def setup():
    global server, state_dir
    state_dir = tempfile.mkdtemp(prefix="jl-state-")
    server = Joblogd()


def teardown():
    if server:
        server.close()
    shutil.rmtree(state_dir, ignore_errors=True)


def start(job, *argv):
    return subprocess.Popen([JOBLOG, "run", "--quiet", "--job", job, "--rank", "3", "--ranks", "4", "--", sys.executable, "-c", PROGRAM, *argv],
                            env=environment(server.url, XDG_STATE_HOME=state_dir), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def test_each_bar_is_one_record():
    """Bars drawn one above the other are stored as one record each, with what they said at the end and a thinned history; output passes as it is."""
    for name, bars in (("tqdm-position", {"outer: 100%": 21, "inner: 100%": 42}), ("tqdm-nested-left", {"steps: 100%": 11, "epochs: 100%": 3}),
                       ("rich-progress", {"Downloading": 30, "Processing": 30, "Cooking": 30})):
        raw = os.path.join(BARS, name + ".raw")
        p = start(name, raw)
        _, err = p.communicate(timeout=60)
        assert p.returncode == 0 and err == open(raw, "rb").read(), (name, p.returncode)
        got = [r for r in server.records(name) if "state" not in r]
        assert len(got) <= 8 and got[-1]["msg"].endswith("after the bars"), got
        for bar, redraws in bars.items():
            hit = [r for r in got if bar in r["msg"] and r.get("fields", {}).get("redraws")]
            assert hit and abs(hit[-1]["fields"]["redraws"] - redraws) <= 2 and len(hit[-1]["fields"]["history"]) <= 8, (name, bar, got)
            assert "\x1b[A" not in hit[-1]["msg"] and hit[-1]["fields"]["progress"]["percent"] == 100, hit


def test_rows_are_live():
    """While they move, a tail is told of all of them in one message, the first one's numbers read; the terminal draws a row for each."""
    go = os.path.join(state_dir, "go")
    p = start("live", os.path.join(BARS, "tqdm-position.raw"), go)
    try:
        wait_for(lambda: server.get("/v1/jobs/live").status == 200, 60, "the job")
        msgs, _, _ = server.tail_ws("live", "tail=0", 60, until=lambda m: m["type"] == "progress" and m["msg"].count("\n") == 1)
        both = msgs[-1]
        assert both["rank"] == 3 and both["msg"].startswith("outer:") and "\ninner:" in both["msg"], both
        assert both["percent"] == int(both["msg"][6:10]), both
        with Tmux(80, 24) as screen:
            screen.run("joblog tail live -n 1", url=server.url)
            rows = screen.wait(lambda rows: any("outer:" in r for r in rows) and any("inner:" in r for r in rows), 60)
            at = [i for i, r in enumerate(rows) if "outer:" in r or "inner:" in r][-2:]
            assert at[1] == at[0] + 1 and all("rank 3" in rows[i] for i in at), rows
            open(go, "w").close()
            screen.wait(lambda rows: any("all done" in r for r in rows), 60)
    finally:
        open(go, "w").close()
        p.communicate(timeout=60)
    got = [r["msg"] for r in server.records("live") if "state" not in r]
    assert got[-1] == "all done" and len(got) < 14, got
