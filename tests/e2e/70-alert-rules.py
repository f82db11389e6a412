"""70-alert-rules -- rules and receivers: kept for all nodes, checked at write, from a file, from the starter set."""
import json
import os
import signal
import tempfile

from harness import Joblogd, joblog, wait_for

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OOM = {"id": "oom", "line": {"contains": "CUDA out of memory"}, "severity": "critical"}


def put(d, path, body):
    return d.request("PUT", path, body=json.dumps(body), headers={"Content-Type": "application/json"})


def patch(d, path, body):
    return d.request("PATCH", path, body=json.dumps(body), headers={"Content-Type": "application/json"})


def test_rule_crud():
    """A rule can be made, read, listed, changed, replaced and deleted; each answer shows the whole of it."""
    with Joblogd() as d:
        r = d.post("/v1/rules", OOM)
        assert r.status == 201, r
        made = r.json()
        assert made["enabled"] and made["source"] == "api" and made["group_by"] == ["job", "fingerprint"]
        assert made["dedup"] == "10m" and made["created_at"] == made["enabled_at"] and made["revision"] > 0
        assert d.post("/v1/rules", OOM).status == 409
        assert d.get("/v1/rules/oom").json() == made
        assert [x["id"] for x in d.get("/v1/rules").json()["rules"] if x["source"] == "api"] == ["oom"]
        r = patch(d, "/v1/rules/oom", {"severity": "error", "rate": {"count": 3, "per": "1m", "level": "error"}})
        assert r.status == 200, r
        changed = r.json()
        assert "line" not in changed and changed["rate"] == {"count": 3, "per": "1m", "level": "error"}
        assert changed["created_at"] == made["created_at"] and changed["enabled_at"] > made["enabled_at"]
        assert changed["revision"] > made["revision"]
        r = patch(d, "/v1/rules/oom", {"severity": None})
        assert r.json()["severity"] == "warning" and r.json()["enabled_at"] == changed["enabled_at"]
        assert put(d, "/v1/rules/oom", OOM).status == 200
        assert put(d, "/v1/rules/new", {**OOM, "id": "new"}).status == 201
        assert put(d, "/v1/rules/other", OOM).status == 400
        assert patch(d, "/v1/rules/oom", {"id": "x"}).status == 400
        assert d.request("DELETE", "/v1/rules/oom").status == 204
        assert d.get("/v1/rules/oom").status == 404
        assert d.request("DELETE", "/v1/rules/oom").status == 404
        d.restart(signal.SIGKILL)
        wait_for(lambda: d.get("/v1/rules/new").status == 200, what="the rule is there after a restart")


def test_mistakes_are_named():
    """A bad rule is 400 with the path of the mistake, and nothing is kept."""
    with Joblogd() as d:
        r = d.post("/v1/rules", {"id": "a", "line": {"pattern": "(x"}})
        assert r.status == 400 and r.json()["code"] == "bad_rule" and r.json()["path"] == "$.line.pattern", r
        assert "missing )" in r.json()["message"]
        r = d.post("/v1/rules", b'{"id":"a"')
        assert r.status == 400 and r.json()["code"] == "bad_json", r
        r = d.post("/v1/receivers", {"id": "a", "url": "gopher://x/", "secrets": [SECRET]})
        assert r.status == 400 and r.json()["path"] == "$.url", r
        assert d.post("/v1/rules", b"x" * 40000).status == 413
        assert d.get("/v1/rules/a").status == 404


def test_projects_are_apart():
    """One id may be used in several projects; the path then needs ?project=."""
    with Joblogd() as d:
        for project in ("p", "q", None):
            assert d.post("/v1/rules", {**OOM, "project": project}).status == 201
        r = d.get("/v1/rules/oom")
        assert r.status == 409 and r.json()["code"] == "ambiguous"
        assert d.get("/v1/rules/oom?project=q").json()["project"] == "q"
        assert d.get("/v1/rules/oom?project=*").json()["project"] is None
        assert d.get("/v1/rules/oom?project=r").status == 404
        assert [x["project"] for x in d.get("/v1/rules?project=p").json()["rules"]] == ["p"]
        assert d.request("DELETE", "/v1/rules/oom?project=p").status == 204
        assert d.get("/v1/rules/oom?project=q").status == 200


def test_starter_set():
    """Rules for training jobs are there from the start, off; enabling one keeps it, deleting it brings the shipped one back."""
    with Joblogd() as d:
        rules = {x["id"]: x for x in d.get("/v1/rules").json()["rules"]}
        assert {"job-failed", "job-hung", "rank-silent", "cuda-oom", "nccl-timeout", "gpu-xid", "nan-loss", "disk-full"} <= set(rules)
        assert all(not x["enabled"] and x["source"] == "starter" for x in rules.values())
        assert d.request("DELETE", "/v1/rules/cuda-oom").status == 409
        r = patch(d, "/v1/rules/cuda-oom", {"enabled": True})
        assert r.status == 200 and r.json()["enabled"] and r.json()["source"] == "api", r
        assert d.request("DELETE", "/v1/rules/cuda-oom").status == 204
        assert d.get("/v1/rules/cuda-oom").json()["source"] == "starter"


def test_receivers():
    """A receiver's secrets, headers and path are written, never read; they survive a change of something else."""
    with Joblogd() as d:
        r = d.post("/v1/receivers", {"id": "pager", "url": "https://hook.example/T/hush", "secrets": [SECRET],
                                     "headers": {"Authorization": "Bearer hush"}})
        assert r.status == 201, r
        assert "hush" not in r.text and SECRET not in r.text and r.json()["secrets"] == 1
        r = patch(d, "/v1/receivers/pager", {"enabled": False})
        assert r.status == 200 and not r.json()["enabled"] and r.json()["secrets"] == 1 and r.json()["headers"] == ["Authorization"], r
        kept = d.redis_cli("HGET", "jl:{alert}:receivers", "*/pager")
        assert SECRET in kept and "Bearer hush" in kept and "https://hook.example/T/hush" in kept
        assert d.request("DELETE", "/v1/receivers/pager").status == 204
        assert d.get("/v1/receivers").json() == {"receivers": []}


def test_two_nodes_hold_the_same():
    """A rule made at one node holds at the other at once."""
    with Joblogd() as a, Joblogd("--redis", "unix://" + a.redis_socket()) as b:
        assert a.post("/v1/rules", OOM).status == 201
        wait_for(lambda: b.get("/v1/rules/oom").status == 200, 3, "the bell reached the other node")
        assert patch(b, "/v1/rules/oom", {"title": "T"}).status == 200
        wait_for(lambda: a.get("/v1/rules/oom").json()["title"] == "T", 3, "and back")


def test_rules_file():
    """Rules of a file are read-only and read again on SIGHUP; a mistake there keeps the old ones, at the start it ends joblogd."""
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "rules.json")

        def write(doc):
            with open(path + ".new", "w") as f:
                f.write(doc if isinstance(doc, str) else json.dumps(doc))
            os.rename(path + ".new", path)

        write({"rules": [OOM], "receivers": [{"id": "am", "kind": "alertmanager", "url": "http://127.0.0.1:9093"}]})
        with Joblogd("--rules", path) as d:
            r = d.get("/v1/rules/oom")
            assert r.json()["source"] == "file" and r.json()["enabled"], r
            assert d.get("/v1/receivers/am").json()["source"] == "file"
            assert patch(d, "/v1/rules/oom", {"enabled": False}).json()["code"] == "read_only"
            assert d.request("DELETE", "/v1/rules/oom").json()["code"] == "read_only"
            assert put(d, "/v1/rules/oom", OOM).json()["code"] == "read_only"
            assert d.post("/v1/rules", OOM).json()["code"] == "read_only"
            write({"rules": [{**OOM, "title": "second"}, {**OOM, "id": "oom2"}]})
            d.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: d.get("/v1/rules/oom").json()["title"] == "second", what="the file was read again")
            assert d.get("/v1/rules/oom2").status == 200 and d.get("/v1/receivers/am").status == 404
            write({"rules": [{**OOM, "severity": "loud"}]})
            d.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: d.logged("the old rules stay"), what="the mistake is logged")
            assert "$.rules[0].severity" in d.logged("the old rules stay")[0]["why"]
            assert d.get("/v1/rules/oom").json()["title"] == "second"
            d.kill(signal.SIGTERM)
            try:
                d.start()
                raise RuntimeError("it started with a broken rules file")
            except AssertionError as e:
                assert "exited 1" in str(e) and "$.rules[0].severity" in str(e), e


def test_command():
    """joblog rules and joblog receivers do all of it, and repeat the server's words about a mistake."""
    with Joblogd() as d, tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "r.json")

        def run(*argv, code=0, **kw):
            r = joblog(*argv, url=d.url, **kw)
            assert r.returncode == code, r
            return r

        out = run("rules").stdout
        assert "cuda-oom" in out and "starter" in out and out.splitlines()[0].startswith("RULE")
        run("rules", "enable", "cuda-oom", "job-failed")
        assert d.get("/v1/rules/job-failed").json()["enabled"]
        run("rules", "mute", "job-failed", "2h")
        assert [x.split()[1] for x in run("rules").stdout.splitlines() if x.startswith("job-failed")] == ["muted"]
        run("rules", "mute", "job-failed", "off")
        assert d.get("/v1/rules/job-failed").json()["muted_until"] is None
        with open(path, "w") as f:
            json.dump({"rules": [OOM, {**OOM, "id": "oom2", "line": {"pattern": "["}}]}, f)
        r = run("rules", "add", path, code=2)
        assert "$.line.pattern" in r.stderr and "oom2 was not added" in r.stderr, r
        assert json.loads(run("rules", "show", "oom").stdout)["severity"] == "critical"
        run("rules", "add", "-", input=json.dumps({**OOM, "title": "new"}), code=5)
        run("rules", "add", "--replace", "-", input=json.dumps({**OOM, "title": "new"}))
        assert d.get("/v1/rules/oom").json()["title"] == "new"
        run("rules", "disable", "oom")
        run("rules", "rm", "oom")
        assert "there is no rule oom" in run("rules", "show", "oom", code=1).stderr
        run("receivers", "add", "-", input=json.dumps({"id": "am", "kind": "alertmanager", "url": "http://h:9093"}))
        assert "alertmanager" in run("receivers", "list").stdout
        run("receivers", "rm", "am")
        run("rules", "explode", code=2)


def test_tokens_see_their_project():
    """A project's admin handles the rules of that project, may look at those of all, and changes a copy of them."""
    with Joblogd() as d:
        d.close_doors()
        for project in (None, "p", "q"):
            assert d.post("/v1/rules", {**OOM, "id": f"r-{project}", "project": project}).status == 201
        d.post("/v1/receivers", {"id": "am", "kind": "alertmanager", "url": "http://h:9093"})
        admin = {"Authorization": "Bearer " + d.make_token("admin", "p")["token"]}
        reader = {"Authorization": "Bearer " + d.make_token("read", "p")["token"]}

        def ask(method, path, body=None, who=admin):
            return d.request(method, path, body=json.dumps(body) if body else None, headers=who)

        assert {x["id"] for x in ask("GET", "/v1/rules").json()["rules"] if x["source"] == "api"} == {"r-None", "r-p"}
        assert ask("GET", "/v1/rules/r-q").status == 404
        assert ask("GET", "/v1/rules/r-q?project=q").status == 404
        assert ask("PATCH", "/v1/rules/r-q", {"enabled": False}).status == 404
        assert ask("DELETE", "/v1/rules/r-q").status == 404
        assert ask("DELETE", "/v1/rules/r-None").status == 403
        assert ask("POST", "/v1/rules", {**OOM, "id": "x", "project": "q"}).status == 403
        made = ask("POST", "/v1/rules", {**OOM, "id": "x"})
        assert made.status == 201 and made.json()["project"] == "p"
        copy = ask("PATCH", "/v1/rules/r-None", {"enabled": False})
        assert copy.status == 200 and copy.json()["project"] == "p" and not copy.json()["enabled"], copy
        assert ask("GET", "/v1/rules/r-None").json()["project"] == "p"
        assert d.get("/v1/rules/r-None?project=*").json()["enabled"]
        assert ask("PATCH", "/v1/rules/cuda-oom", {"enabled": True}).json()["project"] == "p"
        assert ask("GET", "/v1/receivers").json() == {"receivers": []}
        assert ask("GET", "/v1/receivers/am").status == 404
        assert ask("GET", "/v1/rules/x", who=reader).status == 200
        assert ask("POST", "/v1/rules", {**OOM, "id": "y"}, who=reader).status == 403
        assert ask("DELETE", "/v1/rules/x", who=reader).status == 403
