"""tests/e2e/45-clients-web-unit.py -- the unit tests of clients/web (tests/unit/clients/web/*_test.js), run in Chromium."""
import functools
import glob
import http.server
import os
import re
import threading

from browser import Browser, need
from harness import ROOT

HERE = os.path.join(ROOT, "tests", "unit", "clients", "web")
b = server = None
results = {}


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_):
        pass


def setup():
    global b, server
    need()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=ROOT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    b = Browser()
    b.open(f"http://127.0.0.1:{server.server_port}/tests/unit/clients/web/index.html")
    b.wait("window.finished === true", deadline_s=60)
    results.update(b.js("window.results"))


def teardown():
    if b:
        b.close()
    if server:
        server.shutdown()
        server.server_close()


def make(sentence):
    def run():
        assert sentence in results, "it did not run"
        assert results[sentence] == "", results[sentence]
    run.__doc__ = sentence
    return run


for path in sorted(glob.glob(os.path.join(HERE, "*_test.js"))):
    room = os.path.basename(path)[:-len("_test.js")]
    for n, found in enumerate(re.findall(r'^test\("(.+?)", ', open(path, encoding="utf-8").read(), re.M)):
        globals()[f"test_{room}_{n + 1}"] = make(found)


def test_every_file_is_run():
    """Every test file there is takes part."""
    there = {os.path.basename(p) for p in glob.glob(os.path.join(HERE, "*_test.js"))}
    listed = set(re.findall(r'"\./(\w+_test\.js)"', open(os.path.join(HERE, "all.js")).read()))
    assert there == listed, there ^ listed
