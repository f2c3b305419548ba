"""A headless Chromium for tests, over the DevTools protocol."""

import asyncio
import contextlib
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect


class Page:
    """A tab of the browser.

    ``errors`` are the uncaught exceptions and the errors and warnings on its console so far.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._session: str | None = None
        self._last_id = 0
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol; its result."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (answer := json.loads(await self._socket.recv())).get("id") != self._last_id:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning", "assert"}:
                self.errors.append(" ".join(str(one.get("value", one)) for one in parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    async def start(self) -> None:
        """Open the tab."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")

    async def goto(self, url: str) -> None:
        """Show what is at the address, and wait until it is loaded."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    async def until(self, expression: str, *, seconds: float = 20) -> None:
        """Return once the expression is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.value(expression):  # noqa: ASYNC110 - the page cannot call
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"not true within {seconds} s: {expression}; errors of the page: {self.errors}")


@asynccontextmanager
async def browser_page(profile: Path, *options: str) -> AsyncIterator[Page]:
    """A page in a Chromium with its profile in this folder; skips the test where none is installed."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs a Chromium, and none is on the PATH")
    fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]
    child = await asyncio.create_subprocess_exec(
        chromium, *fixed, *options, f"--user-data-dir={profile}", "about:blank", stderr=PIPE, start_new_session=True
    )
    try:
        assert child.stderr is not None
        async with asyncio.timeout(60):
            while not (
                found := re.search(r"DevTools listening on (ws://\S+)", (await child.stderr.readline()).decode())
            ):
                assert child.returncode is None
        async with connect(found[1], max_size=None) as socket:
            page = Page(socket)
            await page.start()
            yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 15)
        await child.communicate()
