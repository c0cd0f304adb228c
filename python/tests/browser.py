"""Pages in a headless Chromium, by its debugging protocol over a pipe: no package and no port is needed.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# The longest time without an answer, on a busy machine.
_SECONDS = 300


@contextlib.contextmanager
def opened(folder):
    """A browser with a profile in a folder."""
    # Chromium reads from descriptor 3 and writes to 4.
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    command = [
        PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-extensions", "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe",
        f"--user-data-dir={folder}",
    ]  # fmt: skip
    shell = f'exec 3<&{to_read} 4>&{from_write}; exec "$@"'
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command], pass_fds=[to_read, from_write], stdout=said, stderr=said
        )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Browser(to_write, from_read)
    finally:
        os.close(to_write)
        os.close(from_read)
        process.terminate()
        process.wait(timeout=_SECONDS)


class Browser:
    """A page, and the events that it has caused."""

    def __init__(self, to, come):
        self._to, self._from, self._rest, self._number, self._session = to, come, b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._until(lambda one: one.get("id") == self._number)["result"]

    def _until(self, is_wanted):
        deadline = time.monotonic() + _SECONDS
        while True:
            while b"\0" in self._rest:
                text, self._rest = self._rest.split(b"\0", 1)
                message = json.loads(text)
                self.events.append(message)
                assert "error" not in message, message
                if is_wanted(message):
                    return message
            ready, _, _ = select.select([self._from], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            got = os.read(self._from, 1 << 20)
            assert got, "the browser has ended"
            self._rest += got

    def show(self, path, width, *, scheme="light", media=""):
        """Load a page in a window of a width."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=path.as_uri())
        self._until(lambda one: one.get("method") == "Page.loadEventFired")

    def ask(self, expression):
        """The value of an expression of JavaScript, or of a promise."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def complaints(self):
        """Errors, warnings and lines of the console since the page began to load."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed")
        return [one for one in self.events if one.get("method") in kinds]

    def requests(self):
        """Addresses that the page has asked for, data in the page aside."""
        asked = [
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]

    def screenshot(self):
        """The whole page, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
