"""tests/e2e/62-http-tls.py -- TLS on the one port: versions, certificates, WebSockets through it, and peers that break it."""
import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import websockets

from harness import JOBLOG, JOBLOGD, PATIENCE, Joblogd, joblog, sanitized, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER_S = 1.5
folder = None
server = None


def make_certificate(name, issuer=None, days=30):
    """NAME.pem and NAME.key in the folder, for localhost; signed by issuer, or by itself (then it is an authority)."""
    key, cert = (os.path.join(folder, name + x) for x in (".key", ".pem"))
    who = ["-CA", f"{folder}/{issuer}.pem", "-CAkey", f"{folder}/{issuer}.key"] if issuer else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                    "-out", cert, "-days", str(days), "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
                   + who, check=True, capture_output=True)
    return cert, key


class TlsJoblogd(Joblogd):
    """A joblogd with a TLS listener beside the plain one."""

    def __init__(self, *args, cert="server", **kw):
        self.tls_port = None
        super().__init__("--tls-listen", "127.0.0.1:0", "--tls-cert", f"{folder}/{cert}.pem", "--tls-key", f"{folder}/{cert}.key",
                         *args, **kw)

    def start(self, ready=True):
        super().start(ready)
        listening = wait_for(lambda: [e for e in self.log if e.get("tls") == "yes"], 10, "it listens with TLS")
        self.tls_port = int(listening[-1]["address"].rsplit(":", 1)[1])
        return self

    @property
    def https(self):
        return f"https://localhost:{self.tls_port}"


def setup():
    global folder, server
    folder = tempfile.mkdtemp(prefix="jl-tls-")
    make_certificate("server")
    server = TlsJoblogd("--header-time", f"{int(HEADER_S * 1000)}ms", "--body-time", "2s", "--body-bytes", "1MiB", "--drain-time", "1s")


def teardown():
    if server:
        server.close()
    shutil.rmtree(folder, ignore_errors=True)


def context(ca="server", cert=None, **more):
    ctx = ssl.create_default_context(cafile=f"{folder}/{ca}.pem")
    if cert:
        ctx.load_cert_chain(f"{folder}/{cert}.pem", f"{folder}/{cert}.key")
    for k, v in more.items():
        setattr(ctx, k, v)
    return ctx


def dial(ctx=None, d=None, timeout=10):
    raw = socket.create_connection(("127.0.0.1", (d or server).tls_port), timeout)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (ctx or context()).wrap_socket(raw, server_hostname="localhost")


def ask(sock, path="/healthz"):
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        if not got:
            return 0
        data += got
    return int(data.split()[1])


def fds(d=None):
    return len(os.listdir(f"/proc/{(d or server).pid}/fd"))


def test_versions_and_protocols():
    """TLS 1.2 and 1.3 with http/1.1 are served; 1.1, and clients that want only h2, are told no; plain HTTP is told to use https."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with dial(context(minimum_version=version, maximum_version=version)) as s:
            assert ask(s) == 200 and s.version() == version.name.replace("_", "."), s.version()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    for ctx, word in ((old, "version"), (context(), "protocol")):
        if word == "protocol":
            ctx.set_alpn_protocols(["h2"])
        try:
            dial(ctx)
            raise AssertionError(word)
        except ssl.SSLError as e:
            assert word in str(e).lower(), e
    both = context()
    both.set_alpn_protocols(["h2", "http/1.1"])
    with dial(both) as s:
        assert s.selected_alpn_protocol() == "http/1.1" and ask(s) == 200
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
        s.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in s.recv(65536)
        rest = b""
        with contextlib.suppress(ConnectionResetError):
            rest = s.recv(65536)
        assert rest == b"" or b"tls_required" in rest
    assert server.metric("joblog_tls_failed_total") >= 2 and server.metric("joblog_tls_handshakes_total") >= 3


def test_curl_and_openssl():
    """curl over HTTPS sends a megabyte and reads it back the same; openssl s_client sees a valid chain and a clean end."""
    text = "".join(f"line {i}\n" for i in range(70000))
    base = ["curl", "-sS", "--cacert", f"{folder}/server.pem"]
    p = subprocess.run([*base, "--data-binary", "@-", f"{server.https}/v1/jobs/curl/logs"], input=text, capture_output=True, text=True, timeout=60)
    assert json.loads(p.stdout)["accepted"] == 70000, p
    p = subprocess.run([*base, f"{server.https}/v1/jobs/curl/logs?tail=all"], capture_output=True, text=True, timeout=60)
    assert p.stdout == text, (len(p.stdout), p.stderr)
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-CAfile", f"{folder}/server.pem", "-servername",
                        "localhost", "-verify_return_error", "-quiet", "-no_ign_eof"],
                       input="GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", capture_output=True, text=True, timeout=20)
    assert "200 OK" in p.stdout or p.returncode == 0, p


def test_the_command_over_https():
    """joblog run, tail, logs and state work over https with --cacert, JOBLOG_CACERT and a token; an unknown issuer is refused."""
    make_certificate("stranger")
    with tempfile.TemporaryDirectory(prefix="jl-state-") as state:
        env = {"JOBLOG_CACERT": f"{folder}/server.pem", "XDG_STATE_HOME": state}
        p = joblog("run", "--job", "cmd", "--", "sh", "-c", "seq 1 20000; echo end", url=server.https, env=env)
        assert p.returncode == 0 and p.stderr == "", p
        p = joblog("tail", "cmd", "-n", "2", url=server.https, env=env)
        assert (p.returncode, p.stdout) == (0, "20000\nend\n"), p
        p = joblog("logs", "cmd", "--tail", "all", "--cacert", f"{folder}/server.pem", url=server.https)
        assert p.stdout == "".join(f"{i}\n" for i in range(1, 20001)) + "end\n", p.stderr
        p = joblog("jobs", url=server.https, env={"JOBLOG_CACERT": f"{folder}/stranger.pem"})
        assert p.returncode == 5 and "certificate" in p.stderr, p


def probes():
    """tests/e2e/12-http-probes.py, with every wire of it under TLS."""
    spec = importlib.util.spec_from_file_location("probes", os.path.join(HERE, "12-http-probes.py"))
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)

    class Wire(m.Wire):
        def __init__(self, timeout=10):
            self.sock, self.held = dial(timeout=timeout), b""

        def send(self, data):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

        def more(self):
            try:
                got = self.sock.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                got = b""
            self.held += got
            return bool(got)

        def reset(self):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()

    m.Wire, m.server, m.HEALTH_S = Wire, server, 0.2
    server.host, server.header_s, server.body_s, server.body_bytes = "127.0.0.1", HEADER_S, 2.0, 1 << 20
    server.rss_start = m.rss_bytes()
    return m


def test_http_probes_under_tls():
    """Odd and hostile HTTP is answered under TLS as it is without: pipelining, smuggling, lengths, chunks, heads, sizes, cuts."""
    m = probes()
    whole = m.assert_unharmed

    def stored_only(job=None, lines=None):
        assert job is None or m.stored(job) == lines, (m.stored(job), lines)

    m.assert_unharmed = stored_only  # the pulse is felt once, after all of them
    for name in ("pipelined_in_one_segment", "stray_byte_after_a_body", "length_and_coding_together", "bad_lengths", "chunked_is_decoded",
                 "bad_chunks", "bad_heads", "many_arguments", "oversized", "expect_continue", "unknown_upgrades",
                 "bad_websocket_handshakes", "resets", "head_and_options", "http_1_0", "random_cuts"):
        try:
            getattr(m, "test_" + name)()
        except AssertionError as e:
            raise AssertionError(f"{name}: {e}") from e
    whole()


async def follow(d, job, ctx, got, ready):
    async with websockets.connect(f"wss://localhost:{d.tls_port}/v1/jobs/{job}/tail?tail=0", ssl=ctx, max_size=None, open_timeout=60) as w:
        await w.recv()  # hello
        ready.release()
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in w:
                m = json.loads(text)
                if m["type"] == "lines":
                    got.extend(r["msg"] for r in m["lines"])
        return w.close_code, w.close_reason


def test_500_followers_over_wss():
    """500 WebSockets over TLS each get every line and the end; memory per follower is small, and every descriptor comes back."""
    d = TlsJoblogd("--drain-time", "1s")
    before, rss = fds(d), d.rss_bytes()
    d.post("/v1/jobs", {"id": "many"})

    async def run():
        ctx, ready, all_got = context(), asyncio.Semaphore(0), [[] for _ in range(500)]
        tails = []
        for i in range(0, 500, 25):
            tails += [asyncio.create_task(follow(d, "many", ctx, all_got[k], ready)) for k in range(i, i + 25)]
            for _ in range(25):
                await asyncio.wait_for(ready.acquire(), 30)
        grown = d.rss_bytes() - rss
        open_now = d.metric("joblog_tailers")
        for k in range(5):
            await asyncio.to_thread(d.post_lines, "many", [f"{k}-{i}" for i in range(100)])
        await asyncio.to_thread(d.event, "many", "COMPLETED")
        ends = await asyncio.gather(*tails)
        return grown, open_now, all_got, ends

    with d:
        grown, open_now, all_got, ends = asyncio.run(asyncio.wait_for(run(), 100))
        wait_for(lambda: fds(d) <= before + 2, 10, "descriptors come back")
    assert open_now == 500
    assert sanitized() or grown < 500 * 100_000, f"{grown // 500} bytes a follower"
    want = [f"{k}-{i}" for k in range(5) for i in range(100)]
    assert all(got == want for got in all_got), [len(g) for g in all_got if g != want][:5]
    assert set(ends) == {(1000, "TRAINING_JOB_COMPLETED")}, set(ends)


def test_client_certificates():
    """With --tls-client-ca a client without a certificate, or with one of another authority, is not let in; one with it is."""
    make_certificate("authority")
    make_certificate("stranger2")
    for name, issuer in (("client", "authority"), ("other", "stranger2")):
        make_certificate(name, issuer)
    with TlsJoblogd("--tls-client-ca", f"{folder}/authority.pem") as d:
        with dial(context(cert="client"), d) as s:
            assert ask(s) == 200
        for cert in (None, "other"):
            try:
                with dial(context(cert=cert), d) as s:
                    assert ask(s) == 0, cert
            except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
                pass
        env = {"JOBLOG_CACERT": f"{folder}/server.pem", "JOBLOG_CERT": f"{folder}/client.pem", "JOBLOG_KEY": f"{folder}/client.key"}
        with tempfile.TemporaryDirectory(prefix="jl-state-") as state:
            p = joblog("run", "--job", "mtls", "--", "echo", "hello", url=d.https, env={**env, "XDG_STATE_HOME": state})
            assert (p.returncode, p.stdout, p.stderr) == (0, "hello\n", ""), p
        assert joblog("logs", "mtls", url=d.https, env=env).stdout == "hello\n"
        assert joblog("jobs", url=d.https, env={"JOBLOG_CACERT": f"{folder}/server.pem"}).returncode == 5
        d.close_doors()  # a certificate is no token
        with dial(context(cert="client"), d) as s:
            assert ask(s, "/v1/jobs") == 401


def test_reload_under_live_connections():
    """SIGHUP: new connections see the new certificate, open ones live on; files that cannot be used change nothing, and are said."""
    for name in ("reload", "next"):
        make_certificate(name)
    for x in (".pem", ".key"):
        shutil.copy(f"{folder}/next{x}", f"{folder}/next{x}.keep")
    with TlsJoblogd(cert="reload") as d:
        first = context("reload")
        kept = dial(first, d)
        assert ask(kept) == 200

        async def live():
            async with websockets.connect(f"wss://localhost:{d.tls_port}/v1/jobs/r/tail", ssl=first) as w:
                await w.recv()
                shutil.copy(f"{folder}/next.pem", f"{folder}/reload.pem")  # the certificate first, without its key
                d.proc.send_signal(signal.SIGHUP)
                await asyncio.to_thread(wait_for, lambda: d.logged("the certificate was not read again"), 10, "said")
                assert ask(dial(first_again, d)) == 200
                shutil.copy(f"{folder}/next.key", f"{folder}/reload.key")
                d.proc.send_signal(signal.SIGHUP)
                await asyncio.to_thread(wait_for, lambda: d.logged("files were read again"), 10, "read")
                with dial(context("next"), d) as s:
                    assert ask(s) == 200 and s.getpeercert()["subject"][0][0][1] == "next"
                d.post_lines("r", ["after"])
                while "after" not in await asyncio.wait_for(w.recv(), 10):
                    pass
                assert ask(kept) == 200

        d.post_lines("r", ["before"])
        first_again = context("reload")
        asyncio.run(asyncio.wait_for(live(), 40))
        expiry = d.metric("joblog_tls_certificate_expiry_timestamp_seconds")
        assert abs(expiry - (time.time() + 30 * 86400)) < 86400, expiry


def test_broken_and_slow_handshakes():
    """Peers that are silent, dribble, send half a hello or garbage, or vanish in mid-handshake are gone by the deadline and cost little."""
    before, rss = fds(), server.rss_bytes()
    hello = client_hello()
    socks = []
    for i in range(300):
        s = socket.create_connection(("127.0.0.1", server.tls_port), 10)
        s.sendall((b"", hello[:7], hello[:-3], hello, b"\x16\x03\x01\xff\xff" + b"x" * 1000, b"\x16" * 400)[i % 6])
        socks.append(s)
    dribbler = socket.create_connection(("127.0.0.1", server.tls_port), 10)
    start, at = time.monotonic(), 0
    with contextlib.suppress(OSError):
        while time.monotonic() - start < HEADER_S + 5 * PATIENCE:
            dribbler.sendall(hello[at:at + 1])
            at = min(at + 1, len(hello) - 2)
            dribbler.settimeout(0.05)
            with contextlib.suppress(socket.timeout):
                if dribbler.recv(100) == b"":
                    break
    took = time.monotonic() - start
    assert took < HEADER_S + 2 * PATIENCE, f"the deadline is absolute: {took}"
    with dial() as s:
        assert ask(s) == 200
    assert server.get("/healthz").status == 200
    grown = server.rss_bytes() - rss
    assert sanitized() or grown < 32 << 20, f"{grown} bytes for 300 handshakes"
    wait_for(lambda: fds() <= before + 2, 10, "descriptors come back")
    for s in socks:
        s.close()
    dribbler.close()


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    obj = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        obj.do_handshake()
    return outgoing.read()


def test_a_follower_that_vanishes():
    """A wss tail whose peer is reset, or closes without a goodbye, is noticed and leaves nothing."""
    server.post_lines("gone", ["x"])
    before = fds()
    for way in ("reset", "close", "half"):
        s = dial()
        s.sendall(b"GET /v1/jobs/gone/tail HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert b" 101 " in s.recv(4096)
        wait_for(lambda: server.metric('joblog_tailers{kind="websocket"}') == 1, 10, "it follows")
        if way == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if way == "half":
            with contextlib.suppress(ssl.SSLError, OSError):
                s.settimeout(1)
                s.unwrap()  # TLS' goodbye, then the end
        s.close()
        wait_for(lambda: server.metric('joblog_tailers{kind="websocket"}') == 0, 10, f"{way} is noticed")
    wait_for(lambda: fds() <= before + 2, 10, "descriptors come back")


def test_options():
    """TLS options that do not belong together, and files that cannot be used, stop the start with the reason; tokens are still needed."""
    data = os.path.join(folder, "never")
    cert, key = f"{folder}/server.pem", f"{folder}/server.key"
    for args, code, word in ((["--tls-listen", "127.0.0.1:0"], 2, "--tls-cert"), (["--tls-cert", cert, "--tls-key", key], 2, "--tls-listen"),
                             (["--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", f"{folder}/none"], 1, "none"),
                             (["--tls-listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", key], 1, "server.key"),
                             (["--tls-listen", "unix:/tmp/x", "--tls-cert", cert, "--tls-key", key], 1, "HOST:PORT"),
                             (["--tls-listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key], 2, "no tokens are configured")):
        p = subprocess.run([JOBLOGD, "--listen", "127.0.0.1:0", "--data", data, *args], capture_output=True, text=True, timeout=30)
        assert p.returncode == code and word in p.stderr, (args, p)
