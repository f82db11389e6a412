"""73-alert-alertmanager -- a real Alertmanager hears what fires, groups it, and hears when it is over."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

from harness import Joblogd, free_port, wait_for
from hooks import Hook

FAST = ("--alert-allow", "127.0.0.0/8", "--alert-retry", "200ms", "--alert-retry-max", "500ms")
PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = """
route: {{receiver: team, group_by: [alertname, project], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: team, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]
"""


class Alertmanager:
    """Debian's alertmanager on a port of its own; what it tells its team comes to hook."""

    def __init__(self, hook, port=None):
        if not PROGRAM:
            raise unittest.SkipTest("prometheus-alertmanager is not installed")
        self.dir, self.port = tempfile.mkdtemp(prefix="am-"), port or free_port()
        with open(os.path.join(self.dir, "am.yml"), "w") as f:
            f.write(CONFIG.format(url=hook.url))
        self.start()

    def start(self):
        self.proc = subprocess.Popen([PROGRAM, f"--config.file={self.dir}/am.yml", f"--storage.path={self.dir}/data", "--cluster.listen-address=",
                                      f"--web.listen-address=127.0.0.1:{self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.is_up, 60, "alertmanager answers")
        return self

    def is_up(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def alerts(self):
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=10) as r:
            return json.load(r)

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Team(Hook):
    """Alertmanager's own notifications: not signed."""

    def __init__(self):
        super().__init__(secrets=[])
        self.answer = lambda n, r: 200


def make(d, what, **v):
    reply = d.post(f"/v1/{what}", v)
    assert reply.status == 201, reply


def test_fires_groups_resolves():
    """What fires is there with its labels; alerts of one rule come to the team as one group; what is over is resolved there."""
    with Team() as team, Alertmanager(team) as am, Joblogd("--public-url", "https://log.example", *FAST) as d:
        make(d, "receivers", id="am", kind="alertmanager", url=am.url + "/")
        make(d, "rules", id="hung", silence={"quiet": "1s"}, severity="critical", labels={"team": "x"}, annotations={"summary": "{{job}} is quiet"})
        make(d, "rules", id="oom", line={"contains": "out of memory"}, keep_firing_for="2h", dedup=0)
        for job in ("a", "b"):
            d.post_lines(job, ["CUDA out of memory"], "?rank=3")
        firing = wait_for(lambda: (lambda a: a if len(a) == 4 else None)(am.alerts()), 60, f"four alerts: {am.alerts()}")
        hung = [a for a in firing if a["labels"]["alertname"] == "hung" and a["labels"]["job"] == "a"][0]
        assert {k: hung["labels"][k] for k in ("project", "severity", "team")} == {"project": "default", "severity": "critical", "team": "x"}
        assert hung["annotations"] == {"summary": "a is quiet"} and hung["generatorURL"].startswith("https://log.example/jobs/default/a")
        oom = [a for a in firing if a["labels"]["alertname"] == "oom" and a["labels"]["job"] == "a"][0]
        assert oom["labels"]["rank"] == "3" and oom["endsAt"] > hung["endsAt"], "it ends by itself, as long as keep_firing_for"
        groups = wait_for(lambda: [r.json() for r in team.taken if r.json()["groupLabels"] == {"alertname": "hung", "project": "default"}
                                   and len(r.json()["alerts"]) == 2], 60, "both hung jobs in one notification")
        assert groups[0]["status"] == "firing"
        for job in ("a", "b"):
            d.post_lines(job, ["back"])
            d.event(job, "COMPLETED")
        wait_for(lambda: [r for r in team.taken if r.json()["groupLabels"]["alertname"] == "hung" and r.json()["status"] == "resolved"], 60)
        assert not [a for a in am.alerts() if a["labels"]["alertname"] == "hung"]
        assert len([a for a in am.alerts() if a["labels"]["alertname"] == "oom"]) == 2


def test_told_again_before_it_forgets():
    """What lasts is told again: an Alertmanager that has lost its memory, or a joblogd that was restarted, makes no difference."""
    with Team() as team, Alertmanager(team) as am, Joblogd(*FAST) as d:
        make(d, "receivers", id="am", kind="alertmanager", url=am.url)
        make(d, "rules", id="hung", silence={"quiet": "1s"})
        make(d, "rules", id="stuck", stall={"after": "1s"})
        d.post_lines("j", ["step 1"])
        first = wait_for(lambda: (lambda a: a if len(a) == 2 else None)(am.alerts()), 60)
        am.stop()
        shutil.rmtree(os.path.join(am.dir, "data"))
        am.start()
        d.restart(signal.SIGKILL)  # who takes the job up again tells at once what stands
        again = wait_for(lambda: (lambda a: a if len(a) == 2 else None)(am.alerts()), 60)
        assert {a["fingerprint"] for a in again} == {a["fingerprint"] for a in first}
        assert {a["startsAt"] for a in again} == {a["startsAt"] for a in first} and min(a["endsAt"] for a in again) > max(a["endsAt"] for a in first)
        d.post_lines("j", ["step 2"])
        d.event("j", "COMPLETED")
        wait_for(lambda: not am.alerts(), 60)
        assert d.redis_cli("HLEN", "jl:{alert}:standing:default/j").strip() == "0"
