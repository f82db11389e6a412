"""tests/e2e/hooks.py -- a webhook receiver that takes nothing on trust: Standard Webhooks, checked as its specification says.

    with Hook(secrets=[SECRET]) as h:
        h.answer = lambda got, request: 500          # or (status, {"Retry-After": "2"}), or None: no answer at all
        h.got                                        # [Request(id, timestamp, body, …)], those answered 2xx: h.taken
"""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import threading
import time

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOLERANCE_S = 300


class Refused(Exception):
    """The request is not one that a strict receiver takes."""


def verify(secret, headers, body):
    """The id of a signed request; Refused when anything is wrong with it."""
    got_id, stamp, signatures = (headers.get(f"webhook-{x}") for x in ("id", "timestamp", "signature"))
    if not got_id or not stamp or not signatures:
        raise Refused(f"headers are missing: {dict(headers)}")
    if "." in got_id or not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_S:
        raise Refused(f"id {got_id}, timestamp {stamp}")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    want = base64.b64encode(hmac.new(key, f"{got_id}.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
    for signature in signatures.split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value, want):
            return got_id
    raise Refused(f"no signature of {signatures} fits")


class Request:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.time()
        self.id, self.status = headers.get("webhook-id"), None

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.id} {self.status} {self.body[:120]!r}>"


class Hook:
    """An HTTP server on a port of its own. secrets: each must be able to verify every request; []: unsigned ones are taken."""

    def __init__(self, secrets=(SECRET,), port=0, tls=None, host="127.0.0.1"):
        self.secrets, self.answer, self.got, self.refused = list(secrets), None, [], []
        self.lock = threading.Lock()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                hook.serve(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, *_):
                pass

        self.server = Server((host, port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port, self.scheme = self.server.server_address[1], "https" if tls else "http"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def serve(self, x):
        request = Request(x.path, x.headers, x.rfile.read(int(x.headers.get("Content-Length", 0))))
        try:
            if x.command != "POST" or x.headers.get("Content-Type") != "application/json":
                raise Refused(f"{x.command} {x.headers.get('Content-Type')}")
            for secret in self.secrets:
                verify(secret, x.headers, request.body)
            json.loads(request.body)
        except (Refused, ValueError) as e:
            with self.lock:
                self.refused.append(str(e))
            status = 400
        else:
            with self.lock:
                self.got.append(request)
                before = len(self.got) - 1
            status = self.answer(before, request) if self.answer else 204
        if status is None:
            x.close_connection = True
            x.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers = status if isinstance(status, tuple) else (status, {})
        body = headers.pop("body", b"") if headers else b""
        request.status = status
        x.send_response(status)
        for name, value in headers.items():
            x.send_header(name, value)
        if status != 204:
            x.send_header("Content-Length", str(len(body)))
        x.end_headers()
        if status != 204:
            x.wfile.write(body)

    @property
    def taken(self):
        """Requests answered 2xx, in the order in which they came."""
        return [r for r in list(self.got) if r.status and 200 <= r.status < 300]

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        if self.refused:
            raise AssertionError(f"a strict receiver refused: {self.refused[:3]}")
