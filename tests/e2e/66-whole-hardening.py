"""tests/e2e/66-whole-hardening.py -- how the programs are built and what a running joblogd has given up."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import JOBLOG, JOBLOGD, ROOT, Joblogd, sanitized, wait_for


def readelf(path, *flags):
    if not shutil.which("readelf"):
        raise unittest.SkipTest("readelf (binutils) is not installed")
    return subprocess.run(["readelf", "-W", *flags, path], check=True, capture_output=True, text=True).stdout


def test_binaries_are_hardened():
    """Both programs are position independent, their relocations read-only, no stack or segment both writable and executable, stacks
    and copies checked, branches marked where the processor checks them."""
    if sanitized():
        raise unittest.SkipTest("a build with sanitizers is not hardened")
    for path in (JOBLOGD, JOBLOG):
        head, segments, dynamic, symbols = readelf(path, "-h"), readelf(path, "-l"), readelf(path, "-d"), readelf(path, "--dyn-syms")
        assert re.search(r"Type: +DYN", head) and "PIE" in dynamic, "no PIE"
        assert "GNU_RELRO" in segments and re.search(r"BIND_NOW|FLAGS_1.*NOW", dynamic), "no full RELRO"
        assert re.search(r"GNU_STACK .* RW +0x", segments), "the stack is executable"
        assert not re.search(r"LOAD .* RWE ", segments), "a segment is writable and executable"
        assert "TEXTREL" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic
        assert "__stack_chk_fail" in symbols, "no stack protector"
        assert len(re.findall(r"__\w+_chk@", symbols)) >= 5, "not fortified"
        if "X86-64" in head and shutil.which("objdump"):  # the note is missing where the C library's own start files have none
            code = subprocess.run(["objdump", "-d", "--disassemble=main", path], capture_output=True, text=True).stdout
            assert "endbr64" in code, "no -fcf-protection"


def test_what_the_process_gave_up():
    """No core files, no debugger of its own user, no new rights, for the Redis it starts neither; --core-dumps gives the first two back."""
    with Joblogd() as d:  # the harness asks for --core-dumps, to look at it
        assert "NoNewPrivs:\t1" in open(f"/proc/{d.pid}/status").read()
    redis = None
    with tempfile.TemporaryDirectory(prefix="jl-hard-") as where:
        log = open(os.path.join(where, "log"), "w+b")
        p = subprocess.Popen([JOBLOGD, "--listen", "127.0.0.1:0", "--data", os.path.join(where, "d"), "--log-format", "json"], stderr=log, cwd=where,
                             stdin=subprocess.DEVNULL)
        try:
            wait_for(lambda: b"connected to redis" in open(log.name, "rb").read(), 30, "it runs")
            redis = json.loads(next(x for x in open(log.name) if "redis-server started" in x))["pid"]
            for pid in (p.pid, redis):
                assert "NoNewPrivs:\t1" in open(f"/proc/{pid}/status").read()
                assert re.search(r"Max core file size +0 +0 ", open(f"/proc/{pid}/limits").read()), pid
            assert os.stat(f"/proc/{p.pid}/maps").st_uid == 0  # root's: not dumpable
            p.send_signal(signal.SIGTRAP)  # one that ends with a core file, and that no sanitizer takes
            assert p.wait(30) == -signal.SIGTRAP
            assert not [f for f in os.listdir(where) if f.startswith("core")]
        finally:
            if p.poll() is None:
                p.terminate()
                p.wait(30)
            if redis and os.path.exists(f"/proc/{redis}"):
                os.kill(redis, signal.SIGTERM)  # it outlives a crash: the next joblogd takes it over


def test_the_unit_is_a_sandbox():
    """The systemd unit is valid and exposes little: at most 2.0 of 10 by systemd's own measure."""
    tool = shutil.which("systemd-analyze")
    if not tool:
        raise unittest.SkipTest("systemd-analyze is not installed")
    with tempfile.TemporaryDirectory(prefix="jl-unit-") as where:
        path = os.path.join(where, "joblogd.service")
        with open(os.path.join(ROOT, "packaging/joblogd.service")) as f, open(path, "w") as out:
            out.write(f.read().replace("@PREFIX@/bin/joblogd", "/bin/true"))
        p = subprocess.run([tool, "security", "--offline=true", "--threshold=20", path], capture_output=True, text=True, env={**os.environ, "TERM": "dumb"})
        if "unrecognized option" in p.stderr or "Unknown" in p.stderr:
            raise unittest.SkipTest("this systemd-analyze cannot look at files")
        assert p.returncode == 0, (p.stdout[-600:], p.stderr)
        text = open(path).read()
        for word in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "LimitCORE=0", "CapabilityBoundingSet=\n", "SystemCallFilter=@system-service",
                     "MemoryDenyWriteExecute=yes", "UMask=0077"):
            assert word in text, word
        assert re.search(r"^USER joblog$", open(os.path.join(ROOT, "Dockerfile")).read(), re.M), "the image runs as root"
