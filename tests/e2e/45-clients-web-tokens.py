"""tests/e2e/45-clients-web-tokens.py -- the page of a closed joblogd: signing in, losing the token, not losing the place."""
import json

from browser import Browser, need
from harness import Joblogd, wait_for

d = b = None
EXPECTED = ("401 (Unauthorized)", "/stats", "/postmortem", "/nodes", "403 (Forbidden)", "404 (Not Found)")


def setup():
    global d, b
    need()
    d = Joblogd("--drain-time", "500ms")
    d.close_doors()
    d.post_lines("secret", [{"msg": f"line {i}", "rank": i % 2} for i in range(3000)])
    b = Browser()


def teardown():
    if b:
        b.close()
    if d:
        d.close()


def sign_in(token, remember=False):
    b.wait("document.querySelector('dialog.login[open]') !== null", what="the login")
    b.type("#token", token)
    if remember:
        b.click("#remember")
    b.click("dialog.login button[type=submit]")


def test_sign_in():
    """Without a token the page asks for one; a wrong one is refused in words; a right one shows the log, followed live."""
    b.open(d.url + "/jobs/default/secret")
    sign_in("jlt_wrong")
    b.wait("document.querySelector('.login-why.error') !== null")
    assert not b.rows()
    sign_in(d.make_token("read", "default", name="reader")["token"])
    b.wait("document.querySelector('dialog') === null")
    b.wait_row(3000)
    b.wait("document.querySelector('.link-state.live') !== null", what="the WebSocket has a ticket")
    assert "reader" in b.find(".top").text
    d.post_lines("secret", ["one more"])
    b.wait_row(3001)
    assert not b.problems(but=EXPECTED)


def test_where_the_token_is_kept():
    """The token is in sessionStorage alone, never in an address; remembered only when asked."""
    assert b.js("sessionStorage.getItem('joblog.token').startsWith('jlt_') && localStorage.getItem('joblog.token') === null")
    assert not any("jlt_" in u for u in b.requests())
    b.open(d.url + "/")
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 1", what="no second login in this tab")
    b.click(".top .button.quiet:not([hidden])")
    sign_in(d.make_token("read", name="kept")["token"], remember=True)
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 1")
    assert b.js("localStorage.getItem('joblog.token').startsWith('jlt_')")
    b.js("sessionStorage.clear()")
    b.open(d.url + "/")
    b.wait("document.querySelectorAll('.jobs tbody tr').length === 1")
    b.js("localStorage.clear()")
    b.js("sessionStorage.clear()")


def test_a_revoked_token_does_not_cost_the_place():
    """When the token ends while one reads, the page asks for another and goes on at the same lines, with the same filter."""
    mine = d.make_token("read", "default", name="short")
    b.open(d.url + "/jobs/default/secret?rank=1#L1002")
    sign_in(mine["token"])
    b.wait_row(1002)
    top = b.top_row()
    d.request("DELETE", f"/v1/tokens/{mine['id']}")
    b.wait("document.querySelector('dialog.login[open]') !== null", what="the login comes again")
    assert "Sign in again" in b.find("dialog.login").text
    assert b.top_row() == top
    sign_in(d.make_token("read", "default")["token"])
    b.wait("document.querySelector('.link-state.live') !== null", what="it is followed again")
    assert b.top_row() == top and b.js("location.search + location.hash") == "?rank=1#L1002"
    d.post_lines("secret", [{"msg": "for rank 1", "rank": 1}, {"msg": "for rank 0", "rank": 0}])
    b.wait("document.querySelector('.pill').textContent.startsWith('1 new line')")


def test_downloads_carry_a_ticket():
    """A download is a link with a one-time ticket, not with the token."""
    b.run("""window.links = []; HTMLAnchorElement.prototype.click = function () { window.links.push([this.getAttribute('href'), this.download]) };""")
    b.click("[title=Download]")
    b.wait("document.querySelector('.menu:not([hidden]) .menu-item') !== null")
    b.js("[...document.querySelectorAll('.menu:not([hidden]) .menu-item')].find(i => i.textContent.includes('Whole log as text')).click()")
    href, name = b.wait("window.links.length && window.links[0]")
    assert name == "secret.log" and "ticket=jlk_" in href and "jlt_" not in href, href
    admin, d.token = d.token, None
    r, again = d.get(href), d.get(href)
    d.token = admin
    assert r.status == 200 and r.text.startswith("line 0\nline 1\n"), r
    assert again.status == 401, "a ticket is good for once"


def test_another_project_is_a_missing_job():
    """A job of another project looks as one that is not there."""
    d.post("/v1/jobs", {"id": "other", "project": "p2"})
    d.post_lines("other", ["x"], query="?project=p2")
    b.open(d.url + "/jobs/p2/other")
    b.wait("document.body.innerText.includes('There is no such job')")
    assert not b.problems(but=EXPECTED)
