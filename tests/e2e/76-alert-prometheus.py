"""76-alert-prometheus -- /metrics as Prometheus likes them, scraped by a real one, with the rules and the dashboard of docs/."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse
import urllib.request

from harness import ROOT, Joblogd, free_port, wait_for
from hooks import Hook

RULES = os.path.join(ROOT, "docs/prometheus/joblog-rules.yml")
DASHBOARD = os.path.join(ROOT, "docs/prometheus/joblog-dashboard.json")
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{rules}']
scrape_configs: [{{job_name: joblog, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]
"""


def program(name):
    path = shutil.which(name)
    if not path:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


def busy(d, hook):
    """Something of everything that is counted."""
    d.post("/v1/receivers", {"id": "hook", "url": hook.url, "secrets": hook.secrets})
    d.post("/v1/rules", {"id": "boom", "line": {"contains": "boom"}, "dedup": 0, "group_by": ["job"], "max_per_hour": 2})
    d.post_lines("a", ["boom", "boom", "boom"])
    d.post_lines("b", ["x"])
    d.event("b", "FAILED", exit_code=1)
    wait_for(lambda: len(hook.taken) >= 2 and (d.metric('joblog_jobs{state="RUNNING"}') or 0) >= 1, 30)
    wait_for(lambda: d.metric('joblog_job_states_total{state="FAILED"}') == 1, 30)


def test_metrics_pass_the_check():
    """promtool finds nothing to complain of; rules and states are counted once each, with few labels."""
    promtool = program("promtool")
    with Hook() as h, Joblogd("--alert-allow", "127.0.0.1") as d:
        busy(d, h)
        wait_for(lambda: d.metric('joblog_alerts_total{rule="*/boom",status="firing"}') == 3, 30)
        assert d.metric('joblog_alerts_suppressed_total{rule="*/boom"}') in (1, 0)  # 0: the clock hour turned between
        assert d.metric('joblog_alert_sent_total{receiver="*/hook"}') in (2, 3)
        assert d.metric('joblog_job_states_total{state="RUNNING"}') == 2
        text = d.get("/metrics").body
        r = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60)
        assert r.returncode == 0 and not r.stderr, r.stderr.decode()
        assert len(text.splitlines()) < 1500


def test_rules_and_dashboard_name_what_there_is():
    """The example rules are valid, and every metric that they or the dashboard name is there."""
    promtool = program("promtool")
    r = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r
    dashboard = json.load(open(DASHBOARD))
    exprs = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"]) > 10
    with Hook() as h, Joblogd("--alert-allow", "127.0.0.1") as d:
        busy(d, h)
        there = set(re.findall(r"^(joblog_\w+)", d.get("/metrics").text, re.M))
        named = set(re.findall(r"joblog_\w+", " ".join(exprs) + re.sub(r"(?m)^#.*|\S+\.yml", "", open(RULES).read())))
        assert named <= there, named - there


def test_a_real_prometheus():
    """Prometheus scrapes joblogd, answers what the dashboard asks, and fires an example rule."""
    prometheus = program("prometheus")
    with Hook() as h, Joblogd("--alert-allow", "127.0.0.1", "--alert-retry", "100ms", "--alert-retry-max", "200ms") as d, tempfile.TemporaryDirectory() as tmp:
        busy(d, h)
        port = free_port()
        with open(os.path.join(tmp, "p.yml"), "w") as f:
            f.write(CONFIG.format(rules=RULES, port=d.port))
        p = subprocess.Popen([prometheus, f"--config.file={tmp}/p.yml", f"--storage.tsdb.path={tmp}/data", f"--web.listen-address=127.0.0.1:{port}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ask(path, **args):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(args)}", timeout=10) as r:
                    return json.load(r)["data"]
            except urllib.error.HTTPError as e:
                if e.code == 503:  # it is not ready yet
                    return {}
                raise AssertionError(f"{args}: {e.read()[:500]}")
            except OSError:
                return {}

        def value(expr):
            got = ask("query", query=expr).get("result")
            return float(got[0]["value"][1]) if got else None

        try:
            wait_for(lambda: value('up{job="joblog"}') == 1, 60, "it scrapes")
            wait_for(lambda: value('joblog_alerts_total{rule="*/boom",status="firing"}') == 3, 30)
            wait_for(lambda: (value('sum(joblog_jobs{state="RUNNING"})') or 0) >= 1, 30)
            for panel in json.load(open(DASHBOARD))["panels"]:
                for t in panel["targets"]:
                    expr = t["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                    assert "result" in ask("query", query=expr), expr
            h.answer = lambda n, r: 500
            d.request("PATCH", "/v1/receivers/hook", body=json.dumps({"retry_for": "1s"}), headers={"Content-Type": "application/json"})
            d.post_lines("c", ["boom"])
            d.post_lines("d", ["boom"])
            d.request("PATCH", "/v1/rules/boom", body=json.dumps({"max_per_hour": 0}), headers={"Content-Type": "application/json"})
            d.post_lines("e", ["boom"])
            wait_for(lambda: (d.metric('joblog_alert_given_up_total{receiver="*/hook"}') or 0) >= 1, 60)
            wait_for(lambda: "JoblogAlertsGivenUp" in [a["labels"]["alertname"] for a in ask("alerts").get("alerts", [])], 60, "the example rule fires")
        finally:
            p.terminate()
            p.wait(30)
