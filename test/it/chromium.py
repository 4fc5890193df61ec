"""chromium.py - headless Chromium over the DevTools protocol, on plain sockets.

    with Browser("/usr/bin/chromium", folder) as browser:
        tab = browser.tab(width=360, height=800, dark=True)
        tab.open("http://127.0.0.1:9090/")
        tab.run("document.title")
"""
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import time

SECONDS = 30


class Socket:
    """A WebSocket client: text messages, whole, masked as RFC 6455 wants it of clients."""

    def __init__(self, port, path):
        self.s = socket.create_connection(("127.0.0.1", port), SECONDS)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                        "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise OSError(head.decode())

    def more(self):
        data = self.s.recv(1 << 20)
        if not data:
            raise OSError("Chromium closed the connection")
        self.data += data

    def take(self, n):
        while len(self.data) < n:
            self.more()
        data, self.data = self.data[:n], self.data[n:]
        return data

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        n = len(data)
        size = bytes([128 | n]) if n < 126 else struct.pack(">BH", 254, n) if n < 65536 else struct.pack(">BQ", 255, n)
        self.s.sendall(b"\x81" + size + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def receive(self):
        whole = b""
        while True:
            first, size = self.take(2)
            if size == 126:
                size, = struct.unpack(">H", self.take(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.take(8))
            data = self.take(size)
            if first & 15 in (0, 1):
                whole += data
                if first & 128:
                    return whole.decode()
            elif first & 15 == 8:
                raise OSError("Chromium ended the session")


class Browser:
    """One process; its profile is below <folder>. Ended, children and all, by leaving the block. Its
    sandbox is off, as root and containers cannot have it: only pages of our own are shown."""

    def __init__(self, path, folder):
        self.profile = os.path.join(folder, f"profile.{time.time_ns()}")
        self.errors = open(os.path.join(folder, "chromium.err"), "ab")
        self.process = subprocess.Popen(
            [path, "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-extensions", "--hide-scrollbars", "--no-proxy-server", "--no-sandbox",
             "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "about:blank"],
            stdout=self.errors, stderr=self.errors, start_new_session=True,
            env=os.environ | {"HOME": folder})
        self.n, self.tabs = 0, {}
        try:
            self.socket = Socket(*self.address())
        except BaseException:
            self.end()
            raise

    def address(self):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with open(os.path.join(self.profile, "DevToolsActivePort")) as f:
                    port, path = f.read().split("\n")[:2]
                    return int(port), path
            except (OSError, ValueError):
                time.sleep(0.1)
        raise OSError("Chromium does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.errors.close()

    def call(self, method, session=None, **params):
        self.n += 1
        call = {"id": self.n, "method": method, "params": params}
        self.socket.send(json.dumps(call | ({"sessionId": session} if session else {})))
        number = self.n
        while True:
            m = self.event()
            if m.get("id") == number:
                if "error" in m:
                    raise OSError(f"{method}: {m['error']['message']}")
                return m["result"]

    def event(self):
        m = json.loads(self.socket.receive())
        if m.get("sessionId") in self.tabs and "method" in m:
            self.tabs[m["sessionId"]].events.append(m)
        return m

    def tab(self, width=1280, height=900, dark=False, script=True):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, target, width, height, dark, script)


class Tab:
    def __init__(self, browser, session, target, width, height, dark, script):
        self.browser, self.session, self.target, self.events = browser, session, target, []
        browser.tabs[session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.size(width, height)
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def wait(self, method, match=lambda params: True, after=0):
        """The first event of this kind that has come or comes, behind the first <after> ones."""
        until = time.monotonic() + SECONDS
        seen = after
        while time.monotonic() < until:
            for m in self.events[seen:]:
                if m["method"] == method and match(m["params"]):
                    return m["params"]
            seen = len(self.events)
            self.browser.event()
        raise OSError(f"no {method} in {SECONDS} s")

    def run(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise OSError(r["exceptionDetails"]["exception"].get("description", "?"))
        return r["result"].get("value")

    def shot(self, path, whole=True):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def complaints(self):
        """What a person would see in red on the console: errors, exceptions, policy violations."""
        out = []
        for m in self.events:
            p = m["params"]
            if m["method"] == "Runtime.exceptionThrown":
                out.append(str(p["exceptionDetails"].get("exception", {}).get("description", p)))
            elif m["method"] == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                out.append(p["entry"]["text"])
            elif m["method"] == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                out.append(str(p["args"]))
            elif m["method"] == "Audits.issueAdded":
                out.append(str(p["issue"]))
        return out

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.tabs[self.session]
