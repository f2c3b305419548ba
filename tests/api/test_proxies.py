"""The gateway behind real proxies, run with the configurations of deploy/proxies/; those not installed are skipped."""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from services.embedded.process import free_port
from tests.api.conftest import Running, Start, Updates, an_article
from tests.browser import browser_page

_CONFIGURATIONS = Path(__file__).parents[2] / "deploy" / "proxies"
_PUBLIC, _GATEWAY = "127.0.0.1:8080", "127.0.0.1:8000"
_FILES = {"nginx": "nginx.conf", "caddy": "Caddyfile", "haproxy": "haproxy.cfg"}
# What is left when somebody writes no more than proxy_pass.
_PLAIN_NGINX = "events {} http { server { listen %s; location / { proxy_pass http://%s; } } }"


def _command(name: str, program: str, file: Path, folder: Path) -> list[str]:
    if name == "nginx":
        own = f"daemon off; pid {folder}/pid; error_log stderr;"
        return [program, "-p", str(folder), "-e", "stderr", "-c", str(file), "-g", own]
    if name == "caddy":
        return [program, "run", "--adapter", "caddyfile", "--config", str(file)]
    return [program, "-db", "-f", str(file)]


@asynccontextmanager
async def _proxy(name: str, text: str, gateway: Running, folder: Path) -> AsyncIterator[str]:
    """The proxy with this configuration in front of the gateway; its host and port."""
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"needs {name}, which is not on the PATH")
    public = f"127.0.0.1:{free_port()}"
    text = text.replace(_PUBLIC, public).replace(_GATEWAY, f"127.0.0.1:{gateway.port}")
    if name == "nginx":
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        own = " ".join(f"{one}_temp_path {folder}/{one};" for one in temporary)
        text = re.sub(r"http \{", f"http {{ access_log off; {own}", text, count=1)
    file = folder / _FILES[name]
    file.write_text(text)
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    child = await asyncio.create_subprocess_exec(
        *_command(name, program, file, folder), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment
    )
    assert child.stderr is not None
    errors = asyncio.create_task(child.stderr.read())
    try:
        async with asyncio.timeout(10):
            while True:
                assert child.returncode is None, (await errors).decode()
                try:
                    async with gateway.http.get(f"http://{public}/healthz") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
        yield public
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
        await errors


async def _first_event(gateway: Running, url: str, kind: str, *, seconds: float = 5) -> str:
    """The data of the first server-sent event of this type."""
    async with asyncio.timeout(seconds), gateway.http.get(url) as response:
        assert response.status == 200
        current = ""
        async for line in response.content:
            if line.startswith(b"event: "):
                current = line[7:].strip().decode()
            elif line.startswith(b"data: ") and current == kind:
                return line[6:].decode()
    raise AssertionError("the stream has ended")


@pytest.mark.parametrize("name", [*_FILES])
async def test_the_gateway_behind_a_proxy(
    name: str, gateway: Running, updates: Updates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page, WebSocket and events pass, at / and under a path, unbuffered and with long filters.

    The gateway sees the address of the client, whatever the client claims.
    """
    monkeypatch.setattr("api.access.limits._client", lambda address: address)  # the loopback is not exempt
    text = (_CONFIGURATIONS / _FILES[name]).read_text()
    async with _proxy(name, text, gateway, tmp_path) as public:
        long = ",".join(f"{number}{'%D8%AE' * 105}" for number in range(90))
        origin = f"http://{public}"
        for base in (public, f"{public}/news"):
            async with gateway.http.get(f"http://{base}/") as response:
                assert response.status == 200
                module = re.search(r'src="([^"]+)"', await response.text())
            assert module is not None
            headers = {"Origin": origin}
            async with gateway.http.get(f"http://{base}/{module[1]}", headers=headers) as response:
                assert (response.status, response.content_type) == (200, "text/javascript")
            address = f"ws://{base}/v1/stream"
            claimed = {"X-Forwarded-For": "203.0.113.9"}
            async with connect(f"{address}?source={long}", origin=origin, additional_headers=claimed) as socket:  # type: ignore[arg-type]
                assert json.loads(str(await socket.recv()).split("\n")[0])["type"] == "subscribed"
                assert set(gateway.server.app.state.addresses._open) == {"127.0.0.1"}
            waiting = asyncio.create_task(_first_event(gateway, f"http://{base}/v1/events", "article"))
            await _first_event(gateway, f"http://{base}/v1/events?source={long}", "heartbeat")
            await updates.send(an_article())
            assert json.loads(await waiting)["type"] == "article"


async def test_the_page_behind_a_plain_proxy_pass(start_ready: Start, updates: Updates, tmp_path: Path) -> None:
    """Such a proxy passes no upgrade and another Host: the page loads, is live over HTTP, and says what to change."""
    text = _PLAIN_NGINX % (_PUBLIC, _GATEWAY)
    async with (
        start_ready() as gateway,
        _proxy("nginx", text, gateway, tmp_path) as public,
        browser_page(tmp_path / "profile") as page,
    ):
        await page.goto(f"http://{public}/")
        await page.until("document.getElementById('status').dataset.state === 'originRefused'")
        assert f"http://{public}" in await page.value("document.getElementById('status-text').textContent")
        article = an_article()
        await updates.send(article)
        await page.until(f"document.querySelector('#article-{article.id}') !== null")
        await page.until("!document.querySelector('.panel.stale')")
