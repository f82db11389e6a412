"""tests/e2e/45-clients-web-files.py -- the page's files as joblogd serves them, seen without a browser."""
import gzip
import os
import re
import shutil
import tempfile

from harness import ROOT, Joblogd

d = None
HTML = {"Accept": "text/html,application/xhtml+xml"}
WEB = os.path.join(ROOT, "clients", "web")


def setup():
    global d
    d = Joblogd()


def teardown():
    d.close()


def test_the_page_and_the_word():
    """/ is the page for who accepts HTML and the plain word for curl; /jobs/… is the page always."""
    page = d.get("/", HTML)
    assert page.status == 200 and page.headers["content-type"].startswith("text/html"), page
    word = d.get("/", {"Accept": "*/*"})
    assert word.text.startswith("joblog ") and word.headers["content-type"].startswith("text/plain"), word
    assert "accept" in word.headers["vary"].lower() and "accept" in page.headers["vary"].lower()
    for path in ("/jobs", "/jobs/default", "/jobs/default/demo", "/jobs/a.b/c_d-e"):
        assert d.get(path).body == page.body, path


def test_headers():
    """Every file has the strict headers: CSP without any other host or inline code, nosniff, no framing."""
    for path in ("/jobs", "/web/main.js", "/web/style.css", "/web/icon.svg"):
        r = d.get(path)
        assert r.status == 200, (path, r)
        csp = dict(p.strip().split(" ", 1) for p in r.headers["content-security-policy"].split(";"))
        assert csp["default-src"] == "'none'" and csp["frame-ancestors"] == "'none'" and csp["base-uri"] == "'none'", csp
        for name, value in csp.items():
            assert "unsafe" not in value and "http" not in value and "*" not in value, (name, value)
        assert r.headers["x-content-type-options"] == "nosniff" and r.headers["referrer-policy"] == "no-referrer", r.headers


def test_every_file_is_there():
    """Everything the page names (scripts, imports, styles, pictures) is served, with the type browsers insist on."""
    wanted, known = ["index.html"], set()
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    while wanted:
        name = wanted.pop()
        if name in known:
            continue
        known.add(name)
        r = d.get(f"/web/{name}")
        assert r.status == 200, (name, r)
        assert r.headers["content-type"].startswith(kinds[os.path.splitext(name)[1]]), (name, r.headers)
        assert r.body == open(os.path.join(WEB, name), "rb").read(), name
        wanted += re.findall(r'"/web/([a-z0-9_.-]+)"', r.text) + re.findall(r'from "\./([a-z0-9_.-]+)"', r.text)
    assert {"main.js", "list.js", "log.css"} <= known, known
    there = {n for n in os.listdir(WEB) if os.path.splitext(n)[1] in kinds}
    assert there == known, f"not used by the page: {there - known}"


def test_nothing_from_elsewhere():
    """No file names another host."""
    for name in os.listdir(WEB):
        text = open(os.path.join(WEB, name), encoding="utf-8").read()
        hosts = set(re.findall(r"(?:https?|wss?)://([A-Za-z0-9.-]+)", text))
        assert hosts <= {"www.w3.org"}, (name, hosts)  # the name of SVG's namespace


def test_etag_and_gzip():
    """A file has a strong ETag by content and coding, 304 for who has it, gzip for who takes it."""
    plain = d.get("/web/main.js", {"Accept-Encoding": "identity"})
    packed = d.get("/web/main.js", {"Accept-Encoding": "gzip, deflate, br"})
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
    assert plain.headers["etag"] != packed.headers["etag"] and "accept-encoding" in packed.headers["vary"].lower()
    for tag in (packed.headers["etag"], f'"x", W/{packed.headers["etag"]}', "*"):
        r = d.get("/web/main.js", {"Accept-Encoding": "gzip", "If-None-Match": tag})
        assert r.status == 304 and r.body == b"" and r.headers["etag"] == packed.headers["etag"], (tag, r)
    assert d.get("/web/main.js", {"If-None-Match": '"other"'}).status == 200
    head = d.request("HEAD", "/web/main.js")
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) == len(plain.body), head.headers


def test_no_other_file():
    """Names that are no file of the page are 404, whatever they try."""
    for name in ("nothing.js", "..%2fREADME.md", "%2e%2e/README.md", ".hidden.js", "main.js/", ""):
        assert d.get(f"/web/{name}").status == 404, name
    assert d.request("POST", "/web/main.js").status == 405


def test_from_a_directory():
    """--web DIR serves the files of that directory as they are now, and no link or other file in it."""
    home = tempfile.mkdtemp(prefix="jl-web-")
    try:
        for name in ("index.html", "main.js"):
            shutil.copy(os.path.join(WEB, name), home)
        os.symlink("/etc/passwd", os.path.join(home, "passwd.js"))
        open(os.path.join(home, "secret.txt"), "w").write("no")
        with Joblogd("--web", home) as e:
            assert e.get("/", HTML).body == open(os.path.join(home, "index.html"), "rb").read()
            open(os.path.join(home, "main.js"), "w").write("// fresh\n")
            r = e.get("/web/main.js")
            assert r.text == "// fresh\n" and r.headers["cache-control"] == "no-store" and "content-security-policy" in r.headers, r
            for name in ("passwd.js", "secret.txt", "style.css", "..%2fmain.js", "Main.js"):
                assert e.get(f"/web/{name}").status == 404, name
    finally:
        shutil.rmtree(home)
