"""tests/e2e/browser.py -- a Chromium of one's own, seen through selenium and the DevTools protocol.

    with Browser() as b:                       # headless, SkipTest when Debian's chromium is absent
        b.open(d.url + "/jobs/default/demo")
        b.wait("document.querySelectorAll('.row').length > 3")
        b.problems()                           # console errors and CSP violations so far: []
        b.requests()                           # addresses of everything the page asked for

Words for the page (rows, keys, …) are at the end. Every wait has a deadline.
"""
import json
import os
import shutil
import tempfile
import time
import unittest

from harness import wait_for

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
STATUS = ("[...document.querySelectorAll('.statusbar, .trouble:not([hidden]), .log-notice:not([hidden]), .pill:not([hidden])')]"
          ".map(e => e.innerText).join(' | ').slice(0, 500)")
DRIVER = shutil.which("chromedriver")


def need():
    """SkipTest with the reason when there is no browser to test with."""
    if webdriver is None:
        raise unittest.SkipTest("python3-selenium is not installed")
    if not CHROMIUM or not DRIVER:
        raise unittest.SkipTest("chromium or chromium-driver is not installed")


class Browser:
    def __init__(self, width=1440, height=900, theme="dark"):
        need()
        self.home = tempfile.mkdtemp(prefix="jl-web-")
        o = webdriver.ChromeOptions()
        o.binary_location = CHROMIUM
        for a in ("--headless=new", f"--window-size={width},{height}", f"--user-data-dir={self.home}/profile", "--no-first-run",
                  "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1", "--enable-precise-memory-info",
                  "--js-flags=--expose-gc", "--disable-features=Translate,MediaRouter,OptimizationHints"):
            o.add_argument(a)
        if os.geteuid() == 0:
            o.add_argument("--no-sandbox")
        o.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        env = {**os.environ, "HOME": self.home, "LANG": "C.UTF-8"}
        self.driver = webdriver.Chrome(service=Service(DRIVER, env=env), options=o)
        self.driver.set_script_timeout(60)
        self.driver.set_page_load_timeout(60)
        self.seen, self.asked = [], []
        self.size(width, height)
        self.theme(theme)

    def close(self):
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the browser -----------------------------------------------------------------------------
    def cdp(self, command, **args):
        return self.driver.execute_cdp_cmd(command, args)

    def size(self, width, height, mobile=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def theme(self, name, reduced_motion=True):
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"}])

    def open(self, url):
        self.driver.get(url)
        return self

    def js(self, expression, *args):
        """The value of a JavaScript expression; arguments are a0, a1, …"""
        names = ",".join(f"a{i}" for i in range(len(args)))
        return self.driver.execute_script(f"return (({names}) => ({expression}))(...arguments)", *args)

    def run(self, body, *args):
        """Run async statements; `return` gives the value."""
        r = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);"
            f"(async () => {{ {body} }})().then(v => done({{v}}), e => done({{e: String(e && e.stack || e)}}))", *args)
        assert "e" not in r, r["e"]
        return r.get("v")

    def wait(self, expression, *args, deadline_s=20, what=None):
        """Until the expression is true; its value."""
        def look():
            try:
                return self.js(expression, *args)
            except WebDriverException as e:
                if "javascript error" in str(e):
                    return None
                raise
        try:
            return wait_for(look, deadline_s, what or expression)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.state()}") from None

    def state(self):
        """What the page says of itself, for a failure's message."""
        return f"address: {self.driver.current_url}\nproblems: {self.problems()}\nstatus: {self.js(STATUS)}"

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def click(self, css):
        self.wait("document.querySelector(a0) !== null", css)
        self.find(css).click()

    def type(self, css, text):
        e = self.find(css)
        e.clear()
        e.send_keys(text)

    def keys(self, *keys):
        """Typed where the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def wheel(self, dy, x=600, y=500):
        self.cdp("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=dy)

    def wheel_to_rest(self, dy):
        """Turn the wheel over the log and wait until it has scrolled that far, or to its end."""
        place = "Math.round(document.querySelector('.scroller').scrollTop)"
        before = self.js(place)
        self.wheel(dy)
        wanted = max(0, before + dy)
        self.wait(f"{place} === a0 || (a1 && {place} + 2 >= document.querySelector('.scroller').scrollHeight - document.querySelector('.scroller').clientHeight)",
                  wanted, dy > 0, what=f"scrolled from {before} to {wanted}")

    def still(self):
        """Until the lines have stopped moving: the same place over some frames."""
        self.run("""const s = document.querySelector('.scroller'); let top = -1, same = 0, n = 0;
            while (same < 5 && n++ < 600) { await new Promise(requestAnimationFrame); same = s.scrollTop === top ? same + 1 : 0; top = s.scrollTop; }""")

    def swipe(self, x, y, dy, steps=10):
        """A finger from (x, y) by dy."""
        self.cdp("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for i in range(1, steps + 1):
            self.cdp("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y + dy * i / steps}])
        self.cdp("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drag(self, x0, y0, x1, y1, steps=8):
        self.cdp("Input.dispatchMouseEvent", type="mousePressed", x=x0, y=y0, button="left", clickCount=1)
        for i in range(1, steps + 1):
            self.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=x0 + (x1 - x0) * i / steps, y=y0 + (y1 - y0) * i / steps,
                     button="left", buttons=1)
        self.cdp("Input.dispatchMouseEvent", type="mouseReleased", x=x1, y=y1, button="left", clickCount=1)

    def picture(self, path):
        import base64
        data = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    # -- what went wrong, what was asked ---------------------------------------------------------
    def _read_logs(self):
        for entry in self.driver.get_log("browser"):
            self.seen.append(entry)
        for entry in self.driver.get_log("performance"):
            m = json.loads(entry["message"])["message"]
            if m["method"] == "Network.requestWillBeSent":
                self.asked.append(m["params"]["request"]["url"])
            elif m["method"] == "Network.webSocketCreated":
                self.asked.append(m["params"]["url"])

    def problems(self, but=()):
        """Console messages of level SEVERE or WARNING; but: words of those that are expected."""
        self._read_logs()
        return [e["message"] for e in self.seen if e["level"] in ("SEVERE", "WARNING")
                and not any(w in e["message"] for w in (*but, "willReadFrequently"))]  # tests that look at canvases cause that one

    def requests(self):
        self._read_logs()
        return list(self.asked)

    def heap_bytes(self):
        """The page's JavaScript heap after a collection."""
        self.cdp("HeapProfiler.collectGarbage")
        return self.cdp("Runtime.getHeapUsage")["usedSize"]

    def metric(self, name):
        self.cdp("Performance.enable", timeDomain="threadTicks")  # CPU time: other processes do not count
        return {m["name"]: m["value"] for m in self.cdp("Performance.getMetrics")["metrics"]}[name]

    # -- words for the page ----------------------------------------------------------------------
    def rows(self):
        """[(seq, text)] of the rows on the screen."""
        return [tuple(x) for x in self.js("""(() => {
            const s = document.querySelector('.scroller').getBoundingClientRect();
            return [...document.querySelectorAll('.row[data-seq]')].filter(r => { const b = r.getBoundingClientRect();
                return b.bottom > s.top + 1 && b.top < s.bottom - 1 && b.height > 0; })
                .map(r => [+r.dataset.seq, r.querySelector('.msg').textContent]) })()""")]

    def wait_row(self, seq, deadline_s=20):
        """The row of seq is on the screen; its text."""
        def look():
            return dict(self.rows()).get(seq)
        try:
            return wait_for(lambda: look() is not None and (look() or " "), deadline_s, f"row {seq} on the screen")
        except AssertionError as e:
            raise AssertionError(f"{e}\nseen: {[n for n, _ in self.rows()]}\n{self.state()}") from None

    def top_row(self, still_s=0.5):
        """The number of the first row on the screen, once the page has held still for a while: what is above the rows comes later."""
        last = [None, 0.0]

        def look():
            now = [n for n, _ in self.rows()]
            if now != last[0]:
                last[:] = now, time.monotonic()
            return now and time.monotonic() - last[1] >= still_s
        wait_for(look, 20, "the rows stand still")
        return last[0][0]

    def at_end(self):
        return self.js("(() => { const s = document.querySelector('.scroller'); return s.scrollTop + s.clientHeight >= s.scrollHeight - 2 })()")


def settle(seconds=0.3):
    """For pictures only: let what is drawn be drawn."""
    time.sleep(seconds)
