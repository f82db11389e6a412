"""tests/e2e/42-clients-terminal.py -- what logs and tail show: searching with context, times, templates, colours; in pipes,
through a pty and in tmux at 80 and 200 columns."""
import json
import os
import random
import re
import subprocess
import tempfile
import time

from harness import JOBLOG, Joblogd, wait_for
from terminal import Terminal, Tmux, environment

server = None


def setup():
    global server
    server = Joblogd()


def teardown():
    if server:
        server.close()


def cli(*argv, timeout=60, **env):
    return subprocess.run([JOBLOG, *argv], env=environment(server.url, **env), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout)


def end(job, state="COMPLETED", **more):
    server.post(f"/v1/jobs/{job}/logs", b"", {"X-Producer": "p", "X-Epoch": "1", "X-Sequence": "1", "X-Producer-Fin": "0"})
    r = server.event(job, state, **more)
    assert r.status == 200, r


def finished(job, lines, state="COMPLETED", **more):
    server.post("/v1/jobs", {"id": job})
    for i in range(0, len(lines), 20000):
        r = server.post_lines(job, lines[i:i + 20000])
        assert r.status == 200, r
    end(job, state, **more)


WORDS = ["alpha", "beta", "gamma", "loss", "epoch", "warning", "step"]


def corpus(rng, count):
    rows = []
    for i in range(count):
        words = [rng.choice(WORDS) for _ in range(3)]
        if rng.random() < 0.002:
            words.append("needle")
        if rng.random() < 0.0003 or 0.5 < i / count < 0.503:
            words.append("rare")
        rows.append({"msg": f"{i} " + " ".join(words), "rank": rng.randrange(4), "level": rng.choice(["info", "error", "debug"])})
    return rows


def test_context_is_what_grep_gives():
    """--grep with -A, -B, -C, -v, -F, -i, --rank, --level, -n and --limit: the lines and separators of grep over the same log."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    finished("ctx", corpus(rng, 30000))
    with tempfile.TemporaryDirectory() as folder:
        for name, filters in (("all", []), ("rank", ["--rank", "2"]), ("level", ["--level", "error", "--rank", "0-1"])):
            plain = os.path.join(folder, name)
            with open(plain, "wb") as f:
                f.write(cli("logs", "ctx", "--no-prefix", *filters).stdout)
            for pattern, more in (("needle", ["-C", "2"]), ("needle", ["-A", "3", "-B", "1"]), ("rare", ["-B", "5"]), ("rare", ["-C", "1"]),
                                  ("NEEDLE", ["-i", "-A", "1"]), ("alpha", ["-C", "1"]), ("nothing", ["-C", "3"]), ("^1.*needle", ["-C2"]),
                                  ("needle", []), ("alpha|beta|gamma", ["-v"]), ("alpha|beta|gamma", ["-v", "-C", "1"]),
                                  ("a.p", ["-F", "-C", "1"]), ("step needle", ["-F", "-C", "4"])):
                want = subprocess.run(["grep", "-E" if "-F" not in more else "-F", *[m for m in more if m != "-F"], "--", pattern, plain],
                                      capture_output=True)
                got = cli("logs", "ctx", "--no-prefix", "-e", pattern, *more, *filters)
                assert got.stdout == want.stdout, (seed, name, pattern, more, got.stdout[:300], want.stdout[:300], got.stderr)
                assert got.returncode == want.returncode, (seed, pattern, more, got)
        for more, argv in ((["-C", "2"], ["-m", "3"]), (["-A", "1"], ["-m", "1"])):
            want = subprocess.run(["grep", *more, *argv, "needle", os.path.join(folder, "all")], capture_output=True).stdout
            got = cli("logs", "ctx", "--no-prefix", "-e", "needle", *more, "--limit", argv[1])
            assert got.stdout == want, (seed, more, got, want)
        lines = open(os.path.join(folder, "all")).read().splitlines()
        for n in (1, 3, 400):
            for more in (["-C", "1"], ["-v"], ["-v", "-C", "1"], []):
                pattern = "needle" if "-v" not in more else "alpha|beta|gamma"
                hits = [i for i, x in enumerate(lines) if bool(re.search(pattern, x)) != ("-v" in more)]
                first = (hits[-n:] or [0])[0] - ("-C" in more)
                tail = "\n".join(lines[max(first, 0):]) + "\n"
                flags = [m for m in more if m != "-C" and m != "1"] + (["-C1"] if "-C" in more else [])
                want = subprocess.run(["grep", "-E", *flags, pattern], input=tail.encode(), capture_output=True).stdout
                got = cli("logs", "ctx", "--no-prefix", "-e", pattern, "-n", str(n), *more)
                assert got.stdout == want, (seed, n, more, got.stdout[:500], want[:500])
                if n <= 3:
                    tailed = cli("tail", "ctx", "--no-prefix", "-e", pattern, "-n", str(n), *more)
                    assert tailed.stdout == want and tailed.returncode == 0, (seed, n, more, tailed.stdout[:500], want[:500])


def test_context_asks_little():
    """Few matches in a long log cost a few short requests, and a log full of them is read once."""
    finished("few", [f"line {i}" + (" X" if i % 9999 == 5000 else "") for i in range(60000)])
    out = cli("logs", "few", "-e", "X$", "-C", "2").stdout.decode().splitlines()
    assert len(out) == 6 * 5 + 5 and out[:6] == ["line 4998", "line 4999", "line 5000 X", "line 5001", "line 5002", "--"], out[:8]
    for pattern, most in (("X$", 3 * 6 + 4), ("line", 2 * 6 + 6)):
        before = server.metric("joblog_http_requests_total")
        cli("logs", "few", "-e", pattern, "-C", "2")
        asked = server.metric("joblog_http_requests_total") - before
        assert asked <= most, (pattern, asked)


def test_nothing_found_is_exit_code_1():
    """As grep: 0 something was found, 1 nothing was, 2 the pattern is bad; without a pattern an empty log is 0. tail keeps its own."""
    finished("found", ["a", "b"])
    for argv, code in ((["-e", "a"], 0), (["-e", "zz"], 1), (["-q", "zz"], 1), (["-e", "zz", "-C1"], 1), (["-e", "[ab]", "-v"], 1),
                       (["-e", "("], 2), (["-e", "zz", "-o", "ndjson"], 1), (["-e", "zz", "-o", "json"], 1), (["-e", "a", "-o", "json"], 0),
                       (["--rank", "7"], 0), (["-v"], 2), (["-C", "1"], 2), (["-e", "a", "--order", "desc", "-C1"], 2)):
        p = cli("logs", "found", *argv)
        assert p.returncode == code, (argv, p)
    assert cli("tail", "found", "-e", "zz").returncode == 0


def test_tail_finds_live():
    """A live tail with -C and -v shows lines around matches as they come, and the board of grep's separators."""
    server.post_lines("livectx", [f"old {i}" for i in range(20)])
    p = subprocess.Popen([JOBLOG, "tail", "livectx", "-e", "hit", "-C", "1", "-n", "3"], env=environment(server.url),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: server.metric('joblog_tailers{kind="sse"}'), 10, "the tail")
    server.post_lines("livectx", ["a", "b", "hit 1", "c", "d", "e", "hit 2"])
    got = [p.stdout.readline() for _ in range(6)]
    assert got == [b"b\n", b"hit 1\n", b"c\n", b"--\n", b"e\n", b"hit 2\n"], got
    end("livectx")
    assert p.communicate(timeout=15)[0] == b"" and p.returncode == 0


def test_found_words_are_lit():
    """On a terminal and with --color always what was found is shown in reverse, colours of the line go on, and escapes stay whole."""
    finished("lit", [{"msg": "plain needle here", "level": "error"}, {"msg": "\x1b[32mgreen needle\x1b[0m end"}, {"msg": "x \x1b[31m31 red"}])
    t = Terminal("logs", "lit", "-e", "needle|31", "--no-pager", url=server.url)
    seen = t.read()
    assert t.wait() == 0
    assert b"\x1b[31mplain \x1b[7mneedle\x1b[27m here\x1b[0m" in seen, seen
    assert b"\x1b[32mgreen \x1b[7mneedle\x1b[0m\x1b[7m\x1b[27m end" in seen or b"\x1b[32mgreen \x1b[7mneedle\x1b[27m\x1b[0m end" in seen, seen
    assert b"x \x1b[31m\x1b[7m31\x1b[27m red" in seen, seen
    assert b"\x1b[7mneedle\x1b[27m" in cli("logs", "lit", "-e", "needle", "--color", "always").stdout
    assert b"\x1b[7m" not in cli("logs", "lit", "-e", "needle").stdout


def test_times():
    """-t is UTC; local, relative and delta are told as asked; every form has the same lines."""
    finished("times", [{"msg": "a", "ts": "2026-01-01T00:00:00.5Z"}, {"msg": "b", "ts": "2026-01-01T00:01:02.75Z"}])
    for argv, want in ((["-t"], ["2026-01-01T00:00:00.500000Z a", "2026-01-01T00:01:02.750000Z b"]),
                       (["--timestamps=local"], ["2026-01-01 02:00:00.500 a", "2026-01-01 02:01:02.750 b"]),
                       (["--timestamps=delta"], ["+    0.000 a", "+   62.250 b"])):
        for command in ("logs", "tail"):
            got = cli(command, "times", *argv, TZ="UTC-2").stdout.decode().splitlines()
            assert got == want, (argv, got)
    rows = cli("logs", "times", "--timestamps=relative").stdout.decode().splitlines()
    assert all(re.fullmatch(r"[+-]\d\d+:\d\d:\d\d\.\d{3} [ab]", r) for r in rows), rows
    assert cli("logs", "times", "--timestamps=never").returncode == 2


def test_template_and_raw():
    """A template makes lines of its own; --raw is what the job wrote; both go through a pipe byte for byte."""
    finished("tpl", [{"msg": "a\x1b[1mb", "rank": 3, "level": "warn", "loss": 2.5}, {"msg": "c", "rank": 11}])
    got = cli("logs", "tpl", "--template", "{{rank:2}}|{{level:-5}}|{{fields.loss}}|{{msg}}").stdout
    assert got == b" 3|warn |2.5|a\x1b[1mb\n11|     ||c\n", got
    assert cli("tail", "tpl", "-o", "template", "--template", r"{{seq}}\t{{msg}}").stdout.splitlines()[-1].endswith(b"\tc")
    assert cli("logs", "tpl", "--raw").stdout == b"a\x1b[1mb\nc\n"
    for bad in (["-o", "template"], ["--template", "{{nope}}"], ["--raw", "-o", "ndjson"], ["-o", "json", "--template", "x"]):
        p = cli("logs", "tpl", *bad)
        assert p.returncode == 2 and p.stderr, (bad, p)
    t = Terminal("logs", "tpl", "--template", r"\e[2J{{msg}}", "--no-pager", url=server.url)
    seen = t.read()
    assert t.wait() == 0 and b"\x1b[2J" not in seen and b"\\x1b[2J" in seen, seen


def test_every_line_of_a_message_carries_its_rank():
    """A message of several lines cannot pass itself off as another rank's."""
    finished("spoof", [{"msg": "a\nrank 1 | fake", "rank": 0}, {"msg": "b", "rank": 1}])
    assert cli("logs", "spoof").stdout == b"rank 0 | a\nrank 0 | rank 1 | fake\nrank 1 | b\n"
    rows = [json.loads(x)["msg"] for x in cli("logs", "spoof", "-o", "ndjson").stdout.splitlines() if b'"state"' not in x]
    assert rows == ["a\nrank 1 | fake", "b"]


def test_nothing_hostile_reaches_the_terminal():
    """Whatever the server says (names, labels, errors, producers) and whatever a line holds: only colour passes."""
    evil = "e\x1b[2Jv\x1b]0;t\x07il\u009b1m\u202e"
    server.post("/v1/jobs", {"id": "hostile", "name": evil, "labels": {"k": evil, evil[:40]: "v"}})
    server.post_lines("hostile", [{"msg": evil, "rank": 1, "evil": evil}, {"msg": evil, "rank": 0}])
    end("hostile", "FAILED", message=evil)
    for argv in (["logs", "hostile", "--no-pager"], ["tail", "hostile"], ["show", "hostile", "--no-pager"], ["jobs"],
                 ["logs", "hostile", "--no-pager", "-o", "ndjson"], ["logs", "hostile", "--no-pager", "-o", "json"], ["jobs", "-o", "json"],
                 ["show", "hostile", "--no-pager", "-o", "json"], ["logs", "hostile", "--no-pager", "--raw"],
                 ["logs", "hostile", "--no-pager", "--template", "{{msg}} {{json}} {{fields.evil}}"], ["state", "hostile", "COMPLETED"],
                 ["logs", "hostile", "--no-pager", "-e", evil], ["logs", "no\x1b[2Job"], ["tail", "hostile", "--wait", "\x1b[2J"], ["\x1b[2J"]):
        t = Terminal(*argv, url=server.url, err_too=True)
        seen = t.read()
        t.wait()
        rest = re.sub(rb"\x1b\[[0-9;:]*m", b"", seen)
        rest = re.sub(rb"\r\x1b\[2K(\x1b\[A\x1b\[2K)*", b"", rest)  # the board's own
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", rest), (argv, rest)
        assert not re.search("[\u0080-\u009f\u202a-\u202e\u2066-\u2069]", rest.decode()), (argv, rest)


def test_pager():
    """Long output on a terminal goes through JOBLOG_PAGER, PAGER or less -FRX; never into a pipe, never with --no-pager or cat."""
    finished("paged", [f"line {i}" for i in range(200)])
    with tempfile.TemporaryDirectory() as folder:
        mark = os.path.join(folder, "mark")
        pager = f"sed s/^/P/; echo $LESS > {mark}"
        for argv, env, paged in ((["logs", "paged"], {"JOBLOG_PAGER": pager}, True), (["logs", "paged"], {"PAGER": pager}, True),
                                 (["show", "paged"], {"PAGER": pager}, True), (["logs", "paged", "--no-pager"], {"PAGER": pager}, False),
                                 (["logs", "paged"], {"PAGER": pager, "JOBLOG_PAGER": ""}, False), (["tail", "paged"], {"PAGER": pager}, False),
                                 (["logs", "paged"], {"PAGER": "cat"}, False), (["logs", "paged"], {"PAGER": pager, "TERM": "dumb"}, False)):
            t = Terminal(*argv, url=server.url, **env)
            seen = t.read().decode()
            assert t.wait() == 0, (argv, t.err)
            rows = seen.splitlines()
            assert all(r.startswith("P") for r in rows) == paged, (argv, env, rows[:3])
            assert os.path.exists(mark) == paged and (not paged or open(mark).read() == "FRX\n"), (argv, env)
            if paged:
                os.unlink(mark)
            if argv[0] == "logs" and not paged:
                assert rows == [f"line {i}" for i in range(200)], rows[:3]
        p = cli("logs", "paged", PAGER=pager)
        assert p.stdout.splitlines()[0] == b"line 0" and not os.path.exists(mark)
        t = Terminal("logs", "paged", url=server.url, PAGER="head -1")
        assert t.read() == b"line 0\r\n" and t.wait() == 0 and t.err == b"", (t.seen, t.err)
        t = Terminal("logs", "paged", "-e", "zz", url=server.url, PAGER="cat -")
        assert t.read() == b"" and t.wait() == 1, t.seen
    with Tmux(80, 24) as screen:
        screen.run("joblog logs paged; echo end $?", server.url)
        screen.wait(lambda rows: rows[0] == "line 0" and rows[-1] == ":")
        screen.keys("G")
        screen.wait(lambda rows: "line 199" in rows)
        screen.keys("q")
        screen.wait(lambda rows: rows[-1] == "end 0")


def progress_ranks(job, count, folder, steps=400):
    """count ranks of joblog run that draw progress bars until the file `go` is there; Popen objects."""
    go = os.path.join(folder, "go")
    script = (f"i=0; while [ ! -e {go} ]; do i=$((i+1)); printf '\\rstep %d of {steps} 日本' $i; sleep 0.2; done; echo; echo done $RANK")
    return go, [subprocess.Popen([JOBLOG, "run", "--job", job, "--", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, env=environment(server.url, XDG_STATE_HOME=folder, RANK=str(r), WORLD_SIZE=str(count)))
                for r in range(count)]


def test_status_and_progress_rows():
    """Below the log stand a row for each rank's progress bar, by rank and no more than fit, and the line of status; they move in place and are
    gone at the end, at 80 and 200 columns."""
    for columns, rows in ((80, 24), (200, 12)):
        job = f"bars{columns}"
        folder = tempfile.mkdtemp(prefix="jl-state-")
        go, ranks = progress_ranks(job, 6, folder)
        with Tmux(columns, rows) as screen:
            screen.run(f"joblog tail {job}; echo end $?", server.url)
            fit = min(6, rows // 3)
            more = [f"… and {6 - fit} more"] if fit < 6 else []
            shown = screen.wait(lambda r: len(r) >= fit + 1 and f"{job} RUNNING" in r[-1] and "6/6 ranks" in r[-1] and "lines/s" in r[-1]
                                and [x[:14] for x in r[-fit - 1 - len(more):-1 - len(more)]] == [f"rank {n} | step " for n in range(fit)])
            assert not more or shown[-2:-1] == more, shown
            assert " · live · " in shown[-1] and all(len(r) < columns for r in shown), shown
            step = int(re.search(r"step (\d+)", shown[-2 - len(more)]).group(1))
            screen.wait(lambda r: len(r) > 1 and int((re.search(r"step (\d+)", r[-2 - len(more)]) or [0, 0])[1]) > step)
            server.post_lines(job, [f"a line {i}" for i in range(3)], "?rank=0")
            shown = screen.wait(lambda r: any(x.startswith("rank 0 | a line 2") for x in r))
            assert [x for x in shown if "a line" in x] == [f"rank 0 | a line {i}" for i in range(3)], shown
            open(go, "w").close()
            end(job)
            final = screen.wait(lambda r: r[-1] == "end 0", history=True)
            text = "\n".join(final)
            assert "RUNNING " not in text and "waiting" not in text and "more" not in text and "COMPLETED after" in final[-2], final
            assert sorted(x for x in final if " | done " in x) == [f"rank {n} | done {n}" for n in range(6)], final
            assert len([x for x in final if "step " in x]) == 6, final
        for p in ranks:
            assert p.wait(20) == 0


def test_rows_survive_resizing():
    """While lines come and the window is resized again and again every line is on the screen or above it once, and no row is left behind."""
    with Tmux(100, 20) as screen:
        server.post_lines("resize", ["x first"])
        screen.run("joblog tail resize -n all; echo end", server.url)
        n = 0
        for columns, rows in ((60, 20), (130, 10), (41, 24), (90, 8), (200, 30), (100, 20)):
            screen.wait(lambda r: r[-1].startswith("resize RUNNING"))
            screen.resize(columns, rows)
            for _ in range(5):
                server.post_lines("resize", [f"x line {n}"])
                n += 1
        end("resize")
        screen.wait(lambda r: r[-1] == "end")
        rows = screen.rows_seen(history=True)
        assert [r for r in rows if r.startswith("x ")] == ["x first"] + [f"x line {i}" for i in range(n)], rows
        assert not [r for r in rows if "RUNNING " in r or "waiting" in r or "lines/s" in r], rows


def test_stop_and_go_on():
    """Ctrl-Z takes the rows away and gives the terminal back, fg goes on where it was, Enter makes room, Ctrl-C leaves the terminal as it was."""
    with Tmux(80, 24) as screen:
        server.post_lines("stopped", ["one"])
        screen.shell(server.url)
        screen.keys("joblog tail stopped", "Enter")
        screen.wait(lambda r: r[-1].startswith("stopped RUNNING"))
        screen.keys("Enter", "q")
        screen.wait(lambda r: r[-1].startswith("stopped RUNNING") and r[-2] == "" and r[-3] == "one")
        screen.keys("C-z")
        rows = screen.wait(lambda r: r[-1] == "$" and "Stopped" in r[-2])
        assert not [r for r in rows if "RUNNING" in r], rows
        screen.keys("stty -a | grep -o ' -*echo '", "Enter")
        screen.wait(lambda r: r[-2:] == [" echo", "$"])
        server.post_lines("stopped", ["two"])
        screen.keys("fg", "Enter")
        screen.wait(lambda r: r[-1].startswith("stopped RUNNING") and r[-2] == "two")
        screen.keys("C-c")
        screen.wait(lambda r: r[-1] == "$" and "two" in r)
        screen.keys("stty -a | grep -o ' -*echo '", "Enter")
        rows = screen.wait(lambda r: r[-2:] == [" echo", "$"])
        assert not [r for r in rows if "RUNNING" in r], rows
        screen.keys("joblog tail stopped &", "Enter")
        screen.wait(lambda r: r[-1] == "two" or "two" in r[-2:])
        screen.keys("echo hi", "Enter")
        rows = screen.wait(lambda r: "hi" in r)
        assert not [r for r in rows if "RUNNING" in r], rows
        screen.keys("kill %1", "Enter")


def test_status_never_in_a_pipe():
    """Neither rows nor status go into a pipe, a dumb terminal or with --no-status; a terminal that cannot be drawn on gets plain lines."""
    server.post_lines("piped", ["one"])
    script = (f'timeout 2 "{JOBLOG}" tail piped | cat; TERM=dumb timeout 2 "{JOBLOG}" tail piped; timeout 2 "{JOBLOG}" tail piped --no-status')
    t = Terminal("-c", script, program="/bin/bash", url=server.url, err_too=True)
    server.post_lines("piped", ["two"])
    seen = t.read()
    t.wait()
    assert b"RUNNING" not in seen and b"\x1b" not in seen, seen


def test_fold():
    """--fold: the same line of many ranks is one with their number and list, blocks as a whole; the same answer every time from logs, and within
    300 ms on a live tail."""
    rows = []
    for rank in range(63):
        rows.append({"msg": f"[rank{rank}]: loading", "rank": rank, "ts": 1795553641 + rank / 1000})
    for n, text in enumerate(("Traceback (most recent call last):", "  File \"x.py\"", "ValueError: bad")):
        for rank in (3, 5, 7):
            rows.append({"msg": text, "rank": rank, "level": "error", "ts": 1795553642, "fields": {"block": n + 1} if n else {}})
    rows += [{"msg": "retry", "rank": 3, "ts": 1795553643 + i / 100} for i in range(12)] + [{"msg": "step 1", "rank": 0}, {"msg": "step 2", "rank": 1}]
    finished("folded", rows)
    got = cli("logs", "folded", "--fold").stdout.decode().splitlines()
    assert got == ["rank  0 | [rank0]: loading  ×63 ranks 0-62", "rank  3 | Traceback (most recent call last):  ×3 ranks 3,5,7",
                   "rank  3 |   File \"x.py\"", "rank  3 | ValueError: bad", "rank  3 | retry  ×12", "rank  0 | step 1", "rank  1 | step 2"], got
    assert len({cli("logs", "folded", "--fold").stdout for _ in range(3)}) == 1
    assert cli("tail", "folded", "--fold", "-n", "all").stdout.decode().splitlines() == got
    got = cli("logs", "folded", "--fold", "-e", "ValueError", "-B", "2", "--rank", "5").stdout.decode().splitlines()
    assert got[-1].endswith("ValueError: bad") and len(got) == 3, got
    for bad in (["-o", "ndjson"], ["--raw"], ["--template", "x"]):
        assert cli("logs", "folded", "--fold", *bad).returncode == 2
    server.post_lines("foldlive", [{"msg": "x", "rank": 0}])
    p = subprocess.Popen([JOBLOG, "tail", "foldlive", "--fold", "-n", "1"], env=environment(server.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"rank 0 | x\n" or True
    late = []
    for i in range(3):
        server.post_lines("foldlive", [{"msg": f"line {i}", "rank": r} for r in range(4)])
        began = time.monotonic()
        line = p.stdout.readline()
        late.append(time.monotonic() - began)
        assert line.decode() == f"rank 0 | line {i}  ×4 ranks 0-3\n", line
    assert min(late) < 0.35, late
    end("foldlive")
    assert p.communicate(timeout=15)[0] == b""


def test_tmux_at_80_and_200_columns():
    """In tmux, at 80 and 200 columns, with and without colour: the same lines, ranks in their gutter, wide characters whole."""
    finished("wide", [{"msg": f"日本語 🚀 line {i} " + "x" * 60, "rank": i % 12, "level": "error" if i % 5 == 0 else "info"} for i in range(8)])
    for columns in (80, 200):
        with Tmux(columns, 24) as screen:
            for color in ("always", "never"):
                screen.run(f"joblog logs wide --no-pager --color {color}; echo done", server.url)
                rows = screen.wait(lambda r: r[-1] == "done")
                text = "".join(rows) if columns == 80 else "\n".join(rows)
                assert re.search(r"rank 3 \| 日本語 🚀 line 3 x{60}", text), rows
                assert len(rows) == (17 if columns == 80 else 9), rows
                with_colour = "\n".join(screen.rows_seen(colours=True))
                assert ("\x1b[31m" in with_colour) == (color == "always"), with_colour
