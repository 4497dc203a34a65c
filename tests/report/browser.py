"""A headless Chromium that opens one page without a network, told what to do over a pipe; no package is needed."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
from pathlib import Path
from typing import Any, Self

# By these names Debian, Ubuntu and Chrome's own packages install it.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    # Nothing outside can be reached.
    "--proxy-server=127.0.0.1:1",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
_PATIENCE_SECS = 60


class Browser:
    """One page of a headless Chromium. A context manager.

    Attributes:
        requests: addresses that the page asked for, in order.
        complaints: errors and violations of its policy that the page caused.
    """

    def __init__(self, profile: Path) -> None:
        (commands, give), (take, answers) = os.pipe(), os.pipe()
        arguments = [*_ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
        self._process = _started(str(PROGRAM), arguments, commands, answers)
        self._to, self._from, self._received = os.fdopen(give, "wb"), take, b""
        self._numbers, self._session = itertools.count(1), None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        (page,) = [t for t in self.tell("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.tell("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        self._to.close()
        os.close(self._from)

    def tell(self, method: str, **parameters: Any) -> Any:
        """Returns the answer to a command of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Opens ``url`` and waits until it is loaded."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])
        self.tell("Page.navigate", url="about:blank")  # so that another fragment of the same page loads it anew
        self.tell("Page.navigate", url=url)
        while self.run("document.readyState") != "complete" or self.run("location.href") == "about:blank":
            pass
        self.frame()

    def frame(self) -> None:
        """Waits until the page has drawn what happened."""
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def run(self, expression: str) -> Any:
        """Returns the value of an expression in the page."""
        answer = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Returns what is seen of the first element that ``selector`` finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def press(self, key: str) -> None:
        """Presses a key."""
        self.tell("Input.dispatchKeyEvent", type="keyDown", key=key)
        self.tell("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Moves the mouse, or presses or releases its button: "mouseMoved", "mousePressed", "mouseReleased"."""
        pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)
        self.frame()

    def tap(self, x: float, y: float) -> None:
        """Touches the page for a moment."""
        self.tell("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.tell("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.frame()

    def picture(self) -> bytes:
        """Returns what is on the screen as PNG."""
        return base64.b64decode(self.tell("Page.captureScreenshot")["data"])

    def _next(self) -> Any:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], _PATIENCE_SECS)
            assert ready, f"the browser says nothing for {_PATIENCE_SECS} seconds"
            more = os.read(self._from, 1 << 16)
            assert more, "the browser has ended"
            self._received += more
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Any) -> None:
        method, told = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])


def _started(program: str, arguments: list[str], commands: int, answers: int) -> int:
    """Starts ``program`` with its own process group; it reads ``commands`` as 3 and writes ``answers`` as 4."""
    # Away from 3 and 4 themselves, so that one does not take the other's place.
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
    actions = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, end, number) for end, number in zip(high, (3, 4), strict=True)]
    process = os.posix_spawn(program, [program, *arguments], os.environ, file_actions=actions, setsid=True)
    for end in (commands, answers, *high):
        os.close(end)
    return process
