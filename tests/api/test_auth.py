"""API keys and scopes."""

import asyncio
import hashlib
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from starlette.datastructures import Headers

from api import commands
from api.access.auth import Forbidden, Keys, Unauthorized
from api.access.limits import Quota
from api.access.origins import Origins
from api.problems import ProblemError
from services.embedded.process import free_port
from services.errors import SettingsError
from services.settings import Settings, check_reach
from tests.api.conftest import Running, Start, Updates, an_article, ids
from tests.harness import hashed

_BEARER = "Authorization"


@pytest.fixture(scope="module")
def keys() -> tuple[str, ...]:
    """Keys as they are in the setting."""
    return hashed("all", "reader:read", "writer:write")


@pytest.fixture
async def closed(start: Start, keys: tuple[str, ...]) -> AsyncIterator[Running]:
    """A gateway with keys."""
    async with start(api_keys=keys, timeouts={"authenticate": 0.3}) as gateway:
        yield gateway


async def test_rest_needs_a_key_of_the_right_scope(closed: Running) -> None:
    """401 with a challenge without a known key, 403 with a key that lacks the scope, in either header."""
    for headers, expected in (
        ({}, 401),
        ({_BEARER: "Bearer nobody"}, 401),
        ({_BEARER: "Basic all"}, 401),
        ({"X-API-Key": "reader:read"}, 401),
        ({"X-API-Key": "مفتاح".encode().decode("latin-1")}, 401),
        ({_BEARER: "Bearer writer"}, 403),
        ({_BEARER: "Bearer reader"}, 200),
        ({_BEARER: "bearer all"}, 200),
        ({"X-API-Key": "reader"}, 200),
    ):
        for path in ("/v1/stories", "/v1/aggregates?by=source"):
            status, body, response = await closed.get(path, headers=headers)
            assert status == expected, headers
            if expected != 200:
                assert body["status"] == expected
                assert ("WWW-Authenticate" in response.headers) == (expected == 401)
    assert (await closed.get("/v1/events"))[0] == 401
    assert (await closed.get("/v1/articles/x"))[0] == 401
    for key, expected in ((None, 401), ("reader", 403), ("writer", 503), ("all", 503)):
        headers = {"X-API-Key": key} if key else {}
        async with closed.http.post(f"{closed.url}/v1/articles", data=b"{}", headers=headers) as response:
            assert response.status == expected  # 503: the key is accepted, but ingest is not running


async def test_health_and_the_page_stay_open(closed: Running) -> None:
    """Paths that probes, Prometheus and browsers request first need no key."""
    for path in ("/", "/dashboard/dashboard.js", "/healthz", "/metrics", "/openapi.json"):
        assert (await closed.get(path))[0] == 200
    assert (await closed.get("/readyz"))[0] == 503


async def test_websockets_authenticate_in_a_header_or_a_first_frame(closed: Running, updates: Updates) -> None:
    """Either way the stream starts with ``subscribed``."""
    async with (
        closed.stream(headers={_BEARER: "Bearer reader"}) as by_header,
        closed.stream() as by_frame,
    ):
        await by_frame.op(op="auth", key="all")
        for subscriber in (by_header, by_frame):
            assert (await subscriber.next())["type"] == "subscribed"
        article = an_article()
        await updates.send(article)
        for subscriber in (by_header, by_frame):
            assert ids(await subscriber.events(1)) == [article.id]


async def test_websockets_without_a_valid_key_are_closed(closed: Running) -> None:
    """4401 for no key in time, a wrong one, or another first frame; 4403 for a key that may not read."""
    for frame, headers, code in (
        (None, {}, 4401),
        ({"op": "auth", "key": "nobody"}, {}, 4401),
        ({"op": "auth", "key": 7}, {}, 4401),
        ({"op": "subscribe"}, {}, 4401),
        (None, {_BEARER: "Bearer nobody"}, 4401),
        ({"op": "auth", "key": "writer"}, {}, 4403),
        (None, {"X-API-Key": "writer"}, 4403),
    ):
        async with closed.stream(headers=headers) as subscriber:
            if frame:
                await subscriber.op(**frame)
            error = await subscriber.next()
            assert error["code"] == {4401: "unauthorized", 4403: "forbidden"}[code]
            assert await subscriber.close_code() == code


async def test_a_gateway_without_keys_ignores_a_key(gateway: Running) -> None:
    """A browser may still send an old key; a gateway without keys ignores it."""
    async with gateway.stream(headers={_BEARER: "Bearer old"}) as subscriber:
        await subscriber.op(op="auth", key="old")
        await subscriber.op(op="ping")
        assert (await subscriber.next())["type"] == "subscribed"
        assert (await subscriber.next())["type"] == "pong"
    assert (await gateway.get("/v1/stories", headers={"X-API-Key": "old"}))[0] == 200


_LONG = "chosen-by-the-operator"
_HASHED = "sha256:" + hashlib.sha256(b"hashed").hexdigest()


@pytest.mark.parametrize(
    "entry",
    [
        "key:admin",
        ":read",
        "key:",
        "sha256:abc",
        "sha256:" + "z" * 64,
        f"{_HASHED}:admin",
        f"{_HASHED}:read:write",
        f"{_HASHED}:posts=0",
        f"{_HASHED}:posts=1:posts=2",
    ],
)
def test_a_wrong_entry_is_refused_without_showing_it(entry: str) -> None:
    """The message has the number of the entry, not its text, which may contain a secret."""
    with pytest.raises(SettingsError, match=r"KHABAR_API_KEYS: entry 2") as caught:
        Keys([_LONG, entry])
    assert entry.strip(":") not in str(caught.value).replace("KEY:read", "")


@pytest.mark.parametrize("entry", ["k", "nineteen-characters", "nineteen-characters:read"])
def test_a_short_key_is_refused_without_showing_it(entry: str) -> None:
    """A key in plain text has at least 20 characters: a shorter one can be guessed."""
    with pytest.raises(SettingsError, match=r"KHABAR_API_KEYS: entry 2: .*at least 20 characters") as caught:
        Keys([_LONG, entry])
    assert len(entry) == 1 or entry.partition(":")[0] not in str(caught.value)
    Keys([f"{entry.partition(':')[0]:x<20}"])


def test_a_key_may_be_bound_to_sources(tmp_path: Path) -> None:
    """In the file, in the setting and as ``khabar keys new`` prints it; names are percent-encoded."""
    path = tmp_path / "keys"
    path.write_text(f"crawler {_HASHED} write sources=bbc.co.uk|Al%20Jazeera%7C2 posts=5\n")
    printed = CliRunner().invoke(commands.keys, ["new", "--source", "bbc.co.uk", "--source", "Al Jazeera|2"]).output
    key, line, entry = (row.split(": ", 1)[1].strip() for row in printed.splitlines())
    (tmp_path / "new").write_text(line)
    for keys, given in (
        (Keys.of(Settings(api_keys_file=path)), "hashed"),
        (Keys([f"{_HASHED}:sources=bbc.co.uk|Al%20Jazeera%7C2"]), "hashed"),
        (Keys.of(Settings(api_keys_file=tmp_path / "new")), key),
        (Keys([entry]), key),
    ):
        found = keys.check(given.encode(), "write")
        assert found is not None
        assert found.sources == {"bbc.co.uk", "Al Jazeera|2"}
    assert Keys([_LONG]).check(_LONG.encode(), "write").sources is None


def test_scopes_of_a_key_given_twice_add_up() -> None:
    """``K:read`` and ``K:write`` are the same as ``K``."""
    keys = Keys([f"{_LONG}:read", f"{_LONG}:write", f"other-{_LONG}:read"])
    keys.check(_LONG.encode(), "read")
    keys.check(_LONG.encode(), "write")
    with pytest.raises(Forbidden):
        keys.check(b"other-" + _LONG.encode(), "write")
    with pytest.raises(Unauthorized):
        keys.check(None, "read")


def test_hashed_keys_work_like_plain_ones() -> None:
    """With one scope, or with both when none is given; the digest itself is not accepted as a key."""
    keys = Keys([f"{_HASHED}:read", "sha256:" + hashlib.sha256(b"both").hexdigest().upper()])
    keys.check(b"hashed", "read")
    keys.check(b"both", "read")
    keys.check(b"both", "write")
    with pytest.raises(Forbidden):
        keys.check(b"hashed", "write")
    for wrong in (_HASHED, _HASHED.removeprefix("sha256:"), f"{_HASHED}:read", ""):
        with pytest.raises(Unauthorized):
            keys.check(wrong.encode(), "read")


def test_keys_in_a_file(tmp_path: Path) -> None:
    """One key a line: name, digest, scopes, limits; comments are allowed. They add to those of the setting."""
    path = tmp_path / "keys"
    path.write_text(f"# keys\n\ncrawler {_HASHED} write posts=60  # the crawler\n")
    keys = Keys.of(Settings(api_keys=(_LONG,), api_keys_file=path))
    found = keys.check(b"hashed", "write")
    assert found is not None
    assert (found.name, found.quota) == ("crawler", Quota(posts=60))
    keys.check(_LONG.encode(), "read")
    with pytest.raises(Forbidden):
        keys.check(b"hashed", "read")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no key"),
        ("# nothing\n", "no key"),
        ("crawler secret read\n", "line 1"),
        (f"\ncrawler {_HASHED} admin\n", "line 2"),
        (f"one {_HASHED} posts=1\ntwo {_HASHED} posts=2\n", "line 2.*limits already"),
    ],
)
def test_a_wrong_file_of_keys_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and the line; a file without keys is an error too."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"KHABAR_API_KEYS_FILE: .*{message}") as caught:
        Keys.of(Settings(api_keys_file=path))
    assert "secret" not in str(caught.value)


def test_a_new_key_has_the_printed_scopes(tmp_path: Path) -> None:
    """The printed line works in the file, the entry in the setting; neither contains the key itself."""
    options = ["new", "--name", "press", "--scope", "read", "--posts", "5"]
    printed = CliRunner().invoke(commands.keys, options).output
    key, line, entry = (row.split(": ", 1)[1].strip() for row in printed.splitlines())
    assert re.fullmatch(r"khabar_[\w-]{43}", key)
    assert key not in line + entry
    path = tmp_path / "keys"
    path.write_text(line)
    for keys in (Keys.of(Settings(api_keys_file=path)), Keys([entry])):
        found = keys.check(key.encode(), "read")
        assert found is not None
        assert found.quota == Quota(posts=5)
        with pytest.raises(Forbidden):
            keys.check(key.encode(), "write")


async def test_plain_keys_are_not_kept(closed: Running) -> None:
    """A running gateway has digests only."""
    assert closed.gateway.settings.api_keys == ()
    assert "reader" not in repr(vars(closed.gateway.keys))


def _reach(host: str, **given: Any) -> None:
    check_reach(Settings(host=host, **given))


def test_without_keys_only_the_loopback_is_listened_on() -> None:
    """Any other address is an error that names the setting, unless an open gateway is allowed."""
    for host in ("0.0.0.0", "::", "192.0.2.1"):  # noqa: S104 - to be refused
        with pytest.raises(SettingsError, match=r"KHABAR_HOST: .*KHABAR_ALLOW_OPEN"):
            _reach(host)
        _reach(host, api_keys=("k",))
        _reach(host, allow_open=True)
        _reach(host, api_keys_file=Path(__file__))
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        _reach(host)


LISTED, OTHER = "https://listed.example", "https://other.example"


def _admits(origins: Origins, host: str, origin: str | None) -> bool:
    try:
        origins.check(Headers({"host": host} | ({} if origin is None else {"origin": origin})))
    except ProblemError as refused:
        assert refused.status in {403, 421}
        return False
    return True


@pytest.mark.parametrize(
    ("host", "origin", "with_keys", "without"),
    [
        ("news.example", None, True, False),
        ("evil.example:8000", None, True, False),
        ("127.0.0.1.evil.example", None, True, False),
        ("localhost.evil.example", None, True, False),
        ("evil.example@127.0.0.1", None, True, False),
        ("127.0.0.1:8000", None, True, True),
        ("[::1]:8000", None, True, True),
        ("localhost", None, True, True),
        ("api:8000", None, True, True),
        ("", None, True, True),
        ("Listed.Example:8000", None, True, True),
        ("gateway.internal", None, True, True),
        ("news.example", "https://news.example", True, False),
        ("news.example:443", "https://news.example", True, False),
        ("news.example", "https://news.example:8443", False, False),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True, True),
        ("localhost:8000", "http://localhost:8000", True, True),
        ("[::1]:8000", "http://[::1]:8000", True, True),
        ("127.0.0.1:8000", "http://127.0.0.1:3000", False, False),
        ("127.0.0.1:8000", "http://localhost:8000", False, False),
        ("127.0.0.1:8000", OTHER, False, False),
        ("127.0.0.1:8000", "null", False, False),
        ("127.0.0.1:8000", "", False, False),
        ("127.0.0.1:8000", "http://[::1", False, False),
        ("127.0.0.1:8000", "HTTPS://Listed.Example", True, True),
    ],
)
def test_the_own_origin(host: str, origin: str | None, *, with_keys: bool, without: bool) -> None:
    """Without keys a host name is not accepted as the own origin: any name can be made to resolve to this machine."""
    assert _admits(Origins([LISTED], any_host=True), host, origin) is with_keys
    assert _admits(Origins([LISTED], any_host=False, hosts=["gateway.internal"]), host, origin) is without
    assert _admits(Origins(["*"], any_host=False), host, origin)


async def test_an_open_gateway_answers_for_no_other_name(gateway: Running) -> None:
    """A page whose name was made to resolve to this machine gets 421, which says what to set; probes work."""
    rebound = {"Host": f"evil.example:{gateway.port}"}
    for path in ("/v1/webhooks", "/v1/stories", "/v1/events", "/metrics", "/readyz", "/", "/openapi.json"):
        async with gateway.http.get(gateway.url + path, headers=rebound) as response:
            body = await response.text()
            assert response.status == 421, path
            assert "KHABAR_ORIGINS" in body
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await gateway.http.ws_connect(f"{gateway.url}/v1/stream", headers=rebound)
    assert caught.value.status == 421
    assert (await gateway.get("/healthz", headers=rebound))[0] == 200


async def test_with_keys_any_host_is_served(start: Start) -> None:
    """A page cannot know a key, so the name by which a gateway is reached does not matter."""
    async with start(api_keys=hashed("secret")) as gateway:
        headers = {"Host": "news.example", "X-API-Key": "secret"}
        assert (await gateway.get("/v1/stories", headers=headers))[0] == 200


async def test_pages_of_other_origins_are_refused(start: Start) -> None:
    """403 over REST, SSE, and WebSocket before the upgrade; programs send no origin and are admitted."""
    async with start(origins=(LISTED,)) as gateway:
        for origin, status in ((None, 200), (gateway.url, 200), (LISTED, 200), (OTHER, 403), ("null", 403)):
            headers = {"Origin": origin} if origin else {}
            assert (await gateway.get("/v1/stories", headers=headers))[0] == status
            async with gateway.http.get(f"{gateway.url}/v1/events", headers=headers) as response:
                assert response.status == status
                allowed = response.headers.get("Access-Control-Allow-Origin")
                assert allowed == (LISTED if origin == LISTED else None)
            async with gateway.http.post(f"{gateway.url}/v1/articles", data=b"{}", headers=headers) as response:
                assert response.status == (503 if status == 200 else 403)
            if status == 200:
                async with gateway.stream(headers=headers) as stream:
                    assert (await stream.next())["type"] == "subscribed"
            else:
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await gateway.http.ws_connect(f"{gateway.url}/v1/stream", headers=headers)
                assert caught.value.status == 403
        preflight = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key,content-type",
        }
        for origin, status in ((LISTED, 200), (OTHER, 400)):
            headers = {"Origin": origin, **preflight}
            async with gateway.http.options(f"{gateway.url}/v1/articles", headers=headers) as response:
                assert response.status == status


async def test_without_a_list_only_the_own_page_is_served(gateway: Running) -> None:
    """By default no other origin is allowed."""
    for origin, status in ((gateway.url, 200), (OTHER, 403)):
        assert (await gateway.get("/v1/stories", headers={"Origin": origin}))[0] == status


async def test_keys_are_never_logged(settings: Settings) -> None:
    """Neither valid nor invalid keys, however they are sent, are in the log at level debug, also in errors."""
    port = free_port()
    right, wrong = "right-0123456789-right", "wrong-9876543210-wrong"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    environment = clean | {
        "KHABAR_KAFKA": str(settings.kafka_servers),
        "KHABAR_REDIS": settings.redis_url,
        "KHABAR_API_KEYS": right,
        "KHABAR_LOG_LEVEL": "debug",
        "KHABAR_PORT": str(port),
    }
    code = "from services.cli import main; main()"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "api", stdout=PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http:
            async with asyncio.timeout(30):
                while True:
                    try:
                        async with http.get(f"{url}/healthz"):
                            break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.1)
            for key in (right, wrong):
                for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"Authorization": key}):
                    for path in ("/v1/stories", "/v1/articles/x", "/v1/webhooks", "/nothing"):
                        async with http.get(url + path, headers=headers) as answer:
                            assert key not in await answer.text()
                    async with http.post(f"{url}/v1/articles", data=b"{}", headers=headers) as answer:
                        assert key not in await answer.text()
                    async with http.ws_connect(f"{url}/v1/stream", headers=headers) as socket:
                        await socket.send_json({"op": "ping"})  # no key yet: refused at once, not after 10 seconds
                        await asyncio.wait_for(socket.receive(), 15)
                async with http.ws_connect(f"{url}/v1/stream") as socket:
                    await socket.send_json({"op": "auth", "key": key})
                    assert key not in str((await asyncio.wait_for(socket.receive(), 15)).data)
                for path in ("/v1/stories", "/v1/events"):
                    async with http.get(f"{url}{path}?api_key={key}") as answer:
                        assert answer.status == 401
                async with http.get(f"{url}/v1/stories?api_key={key}", headers={"X-API-Key": right}) as answer:
                    assert answer.status == 422
                    assert key not in await answer.text()
                async with http.ws_connect(f"{url}/v1/stream?api_key={key}", headers={"X-API-Key": right}) as socket:
                    error = (await asyncio.wait_for(socket.receive(), 15)).data
                    assert "bad_filter" in error
                    assert key not in error
            async with http.get(f"{url}/metrics") as answer:
                assert right not in await answer.text()
        child.terminate()
        output, _ = await asyncio.wait_for(child.communicate(), 30)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert b"listening" in output
    for secret in (right, wrong, hashlib.sha256(right.encode()).hexdigest()):
        assert secret.encode() not in output


async def test_an_open_gateway_on_a_public_address_is_an_error() -> None:
    """``khabar api`` exits with one sentence that names the settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    code = "from services.cli import main; main()"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        "api",
        "--host",
        "0.0.0.0",  # noqa: S104 - to be refused
        stderr=PIPE,
        env=clean,
    )
    _, error = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 1
    assert error.decode().startswith("error: KHABAR_HOST: without keys")
    assert "Traceback" not in error.decode()
