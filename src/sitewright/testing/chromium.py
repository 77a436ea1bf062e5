"""The distribution's Chromium, driven over its own protocol: open a page, type, press, look. No driver to install."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_SECONDS = 30.0
PAGE_SECONDS = 20.0
PHONE = (390, 844)
DESK = (1280, 800)


@dataclass
class Chromium:
    """One page of one browser. ``complaints`` holds what the browser's console has said is wrong: errors of scripts, refused sources."""

    socket: ClientConnection
    complaints: list[str] = field(default_factory=list)
    _last: int = 0
    _loaded: int = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, and its answer. Raises AssertionError when the browser refuses it."""
        self._last += 1
        self.socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PAGE_SECONDS))
            if message.get("id") == self._last:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        method, said = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"])[:300])
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error" and "NETWORK_CHANGED" not in said["entry"]["text"]:
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")

    def open(self, address: str) -> None:
        """Load a page and wait until it has."""
        before = self._loaded
        self.call("Page.navigate", url=address)
        self.wait(lambda: self._loaded > before, f"{address} to load")
        # What was heard may have been the end of the page before.
        self.wait_for("document.documentElement && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until *condition* holds. Raises AssertionError that says *what* did not come."""
        deadline = time.monotonic() + PAGE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}"
            self.call("Runtime.evaluate", expression="new Promise(done => setTimeout(done, 50))", awaitPromise=True)

    def wait_for(self, expression: str) -> None:
        """Until a JavaScript expression is true; one that throws is not yet true, as while a page is loading."""
        self.wait(lambda: self.run(f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"), expression)

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field and type."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """One key, such as Tab or Escape."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def click(self, selector: str) -> None:
        """Click the first element."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def cookie(self, address: str, name: str, value: str) -> None:
        """Set a cookie, as an answer from *address* would."""
        self.call("Network.setCookie", url=address, name=name, value=value)

    def size(self, width: int, height: int) -> None:
        """The window's size in pixels; below 600 wide it is a phone."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def dark(self, wanted: bool) -> None:
        """What the system prefers."""
        scheme = "dark" if wanted else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """The window as a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium() -> Iterator[Chromium]:
    """A fresh browser with a profile of its own, ended with the block. Raises AssertionError when there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is missing: apt-get install chromium"
    profile = Path(tempfile.mkdtemp(prefix="sitewright-chromium-"))
    argv = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    # It keeps small folders in the temporary one, and never clears them away.
    env = {**os.environ, "TMPDIR": str(profile)}
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address(profile / "DevToolsActivePort"), max_size=None) as socket:
            browser = Chromium(socket)
            for domain in ("Page", "Network", "Runtime", "Log"):
                browser.call(f"{domain}.enable")
            browser.size(*DESK)
            yield browser
    except ConnectionClosed as error:
        raise AssertionError("Chromium ended early.") from error
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(profile, ignore_errors=True)


def _address(port_file: Path) -> str:
    """Where the browser's page listens, once it does."""
    deadline = time.monotonic() + START_SECONDS
    while not (port_file.exists() and port_file.read_text().count("\n")):
        assert time.monotonic() < deadline, "Chromium did not start."
        time.sleep(0.05)
    port = int(port_file.read_text().splitlines()[0])
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        pages = [entry for entry in json.load(answer) if entry["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
