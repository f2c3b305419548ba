"""The whole system as a user starts it: ``khabar up``, real servers and processes, from POST to subscriber."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from services.embedded.process import free_port
from services.events import Article, Envelope
from tests.harness import SEEDS, eventually, seed_labels


class System:
    """A running ``khabar up``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, data_dir: Path) -> None:
        self.process = process
        self.url = url
        self.data_dir = data_dir

    async def khabar(self, *command: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        """Run another ``khabar`` command: exit status, stdout, stderr."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services",
            *command,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(self.data_dir),
        )
        out, err = await child.communicate(stdin)
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()

    async def post(self, *articles: dict[str, Any]) -> list[str]:
        """Push articles; the ids they were accepted under."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/articles", json=list(articles)) as response,
        ):
            body = await response.json()
            assert response.status == 202, body
            return [accepted["id"] for accepted in body["accepted"]]

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body of a REST call."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as response:
            return response.status, await response.json()

    async def received(self, ids: set[str], *, cursor: str, seconds: float = 30) -> list[dict[str, Any]]:
        """Article envelopes after a cursor until all ids have come (duplicates included)."""
        found: list[dict[str, Any]] = []
        address = f"{self.url.replace('http', 'ws')}/v1/stream?type=article&duplicates=show&cursor={cursor}"
        async with asyncio.timeout(seconds), connect(address) as socket:
            while not ids <= {envelope["data"]["id"] for envelope in found}:
                for line in (await socket.recv()).splitlines():
                    event = json.loads(line)
                    if event["type"] == "article":
                        Article.model_validate(Envelope.model_validate(event).data)
                        found.append(event)
        return found

    async def now(self) -> str:
        """The current cursor."""
        async with connect(f"{self.url.replace('http', 'ws')}/v1/stream") as socket:
            event = json.loads(str(await socket.recv()).splitlines()[0])
            assert event["type"] == "subscribed"
            return str(event["cursor"])

    def child(self, name: str) -> psutil.Process:
        """The process of one service, from the file that khabar up writes."""
        noted = json.loads((self.data_dir / "endpoints.json").read_text())
        return psutil.Process(noted["processes"][name])


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """A clean environment with the data directory and these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    kept |= {"KHABAR_DATA_DIR": str(data_dir), "KHABAR_SESSION_TIMEOUT": "2", "PYTHONUNBUFFERED": "1"}
    return kept | {f"KHABAR_{name.upper()}": str(value) for name, value in settings.items()}


@asynccontextmanager
async def up(data_dir: Path, *options: str, **settings: object) -> AsyncIterator[System]:
    """Run ``khabar up`` on a free port; SIGTERM at the end, which must end it with status 0."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services",
        "up",
        "--port",
        str(port),
        *options,
        stdout=asyncio.subprocess.PIPE,
        env=environment(data_dir, **settings),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line.decode() == f"ready http://127.0.0.1:{port}\n"
        yield System(process, f"http://127.0.0.1:{port}", data_dir)
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(40):
                assert await process.wait() == 0


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system with two workers, shared by this module."""
    async with up(tmp_path_factory.mktemp("system"), "--workers", "2") as running:
        yield running


async def test_from_post_to_subscriber_and_rest(system: System) -> None:
    """An article pushed in Arabic is enriched on the stream, and REST returns it and its story."""
    cursor = await system.now()
    (article_id,) = await system.post(
        {
            "text": "التقى فلاديمير بوتين نظيره الفرنسي إيمانويل ماكرون في القاهرة لبحث أسعار القمح العالمية",
            "title": "بوتين وماكرون يلتقيان في القاهرة",
            "source": "one.example",
            "guid": "first",
        }
    )
    (envelope,) = await system.received({article_id}, cursor=cursor)
    article = envelope["data"]
    assert article["language"] == "ar"
    assert {"Q7747", "Q3052772", "Q85"} <= {entity["id"] for entity in article["entities"]}
    for entity in article["entities"]:
        for mention in entity["mentions"]:
            assert article["text"][mention["start"] : mention["end"]] == mention["text"]
    assert await eventually(lambda: found(system, f"/v1/articles/{article_id}")) == article
    story = await eventually(lambda: found(system, f"/v1/stories/{article['story']}"))
    assert story["articles"] == [article_id]
    _, numbers = await system.get("/v1/aggregates?by=entity&window=1h&limit=100")
    assert "Q7747" in {item["id"] for item in numbers["items"]}


async def found(system: System, path: str) -> Any:
    """The body of a REST answer, or None while it is not 200."""
    status, body = await system.get(path)
    return body if status == 200 else None


async def test_replayed_seeds_are_published_completely_and_once(system: System) -> None:
    """Each line of seeds/ becomes an event: first revisions, corrections as revision 2, duplicates marked."""
    cursor = await system.now()
    status, _, err = await system.khabar("replay", str(SEEDS), "--to", system.url)
    assert status == 0, err
    labels = seed_labels()
    events = await until_count(system, cursor, len(labels))
    keys = [(event["data"]["id"], event["data"]["revision"]) for event in events]
    assert len(set(keys)) == len(keys) == len(labels)
    assert sum(revision == 2 for _, revision in keys) == sum(label["revision"] == 2 for label in labels)
    assert sum(event["data"]["duplicate_of"] is not None for event in events) >= 8
    cursors = [event["cursor"] for event in events]
    assert cursors == sorted(set(cursors))


async def until_count(system: System, cursor: str, count: int) -> list[dict[str, Any]]:
    """The next articles from a cursor on."""
    events: list[dict[str, Any]] = []
    address = f"{system.url.replace('http', 'ws')}/v1/stream?type=article&duplicates=show&cursor={cursor}"
    async with asyncio.timeout(60), connect(address, max_size=None) as socket:
        while len(events) < count:
            events += [
                event
                for line in str(await socket.recv()).splitlines()
                if (event := json.loads(line))["type"] == "article"
            ]
    return events


async def test_an_article_sent_again_is_not_published_again(system: System) -> None:
    """The same article twice is one event; other content under the same id is the next revision, and no more."""
    cursor = await system.now()
    texts = ["هبت رياح قوية على الساحل", "هبت رياح قوية على الساحل وأغلقت الموانئ", "عادت الموانئ إلى العمل"]
    ids = set()
    for text in (texts[0], texts[0], texts[1], texts[1], texts[2]):
        ids |= set(await system.post({"source": "again.example", "guid": "7", "text": text}))
    assert len(ids) == 1
    events = await until_count(system, cursor, 3)
    assert [(event["data"]["revision"], event["data"]["text"]) for event in events] == list(enumerate(texts, 1))


@pytest.mark.parametrize("name", ["ingest", "enrich-1", "api", "Valkey", "Kafka"])
async def test_any_process_may_be_killed(system: System, name: str) -> None:
    """kill -9 of any one: it is restarted, and what was accepted before, meanwhile and after is published once."""
    cursor = await system.now()
    (before,) = await system.post({"text": f"قبل توقف {name} بقليل", "guid": f"before {name}"})
    system.child(name).kill()
    after = await eventually(lambda: accepted(system, {"text": f"بعد عودة {name} بقليل", "guid": f"after {name}"}), 60)
    events = await eventually(lambda: attempt(system, {before, after}, cursor), 60)
    ids = [event["data"]["id"] for event in events]
    assert ids.count(before) == ids.count(after) == 1
    assert await eventually(lambda: found(system, "/readyz"), 60)


async def accepted(system: System, article: dict[str, Any]) -> str | None:
    """The id of an article, or None while it is not accepted."""
    try:
        return (await system.post(article))[0]
    except (AssertionError, aiohttp.ClientError):
        return None


async def attempt(system: System, ids: set[str], cursor: str) -> list[dict[str, Any]] | None:
    """Events, or None while no gateway delivers them."""
    try:
        return await system.received(ids, cursor=cursor, seconds=20)
    except (OSError, TimeoutError, WebSocketException):
        return None


async def test_dead_letters_are_listed_shown_and_retried(system: System) -> None:
    """The command finds a record that failed in a stage, with its cause, and sends it again."""
    (article_id,) = await system.post({"text": "١٢٣ ٤٥٦ !!", "guid": "unreadable"})

    async def listed() -> dict[str, Any] | None:
        _, out, _ = await system.khabar("dead-letters", "list", "--json")
        return next((row for row in map(json.loads, out.splitlines()) if row["key"] == article_id), None)

    letter = await eventually(listed)
    assert letter["stage"] == "annotate"
    assert "no readable text" in letter["cause"]
    status, out, _ = await system.khabar("dead-letters", "show", str(letter["number"]))
    assert status == 0
    assert "١٢٣ ٤٥٦ !!" in out
    status, out, _ = await system.khabar("dead-letters", "retry", str(letter["number"]))
    assert (status, out) == (0, "1 sent again\n")
    again = await eventually(listed)
    assert again["number"] > letter["number"]
    status, _, err = await system.khabar("dead-letters", "show", "999999")
    assert status != 0
    assert "there is no dead letter 999999" in err


async def test_status_reports_what_runs(system: System) -> None:
    """Gateway, lag, numbers, dead letters and processes in one JSON object, and as text."""
    status, out, err = await system.khabar("status", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["healthy"]
    assert found["gateway"]["ready"]
    assert found["kafka"]["workers"] == 2
    assert found["kafka"]["topics"]["updates"]["records"] > 0
    assert {"ingest", "enrich-1", "enrich-2", "api", "Kafka", "Valkey"} <= {p["name"] for p in found["processes"]}
    status, out, _ = await system.khabar("status")
    assert status == 0
    assert "dead letters" in out


async def test_commands_find_the_running_instance(system: System, tmp_path: Path) -> None:
    """From any directory and without a setting, those of ``khabar up`` are found."""
    settings = {name: value for name, value in environment(system.data_dir).items() if not name.startswith("KHABAR_")}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "status", "--json"),
        cwd=tmp_path,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    found = json.loads(out)
    assert (found["gateway"]["url"], len(found["processes"])) == (system.url, 6)


async def test_watch_prints_matching_events(system: System) -> None:
    """``khabar watch --json`` prints envelopes, filtered like the stream."""
    cursor = await system.now()
    (article_id,) = await system.post({"text": "Putin spoke in Geneva about wheat", "guid": "watched"})
    status, out, err = await system.khabar(
        "watch",
        "--to",
        system.url,
        "--json",
        "--limit",
        "1",
        "--entity",
        "Q7747",
        "--type",
        "article",
        "--duplicates",
        "show",
        "--cursor",
        cursor,
    )
    assert status == 0, err
    assert json.loads(out)["data"]["id"] == article_id


async def test_a_second_system_on_the_same_directory_is_refused(system: System) -> None:
    """Two on one directory would destroy its data; the error is one sentence."""
    status, _, err = await system.khabar("up", "--port", "0")
    assert status == 1
    assert err.startswith("error: another khabar up uses ")
    assert "Traceback" not in err


async def test_a_taken_port_is_refused_in_one_sentence(system: System, tmp_path: Path) -> None:
    """The error names the port and what to do."""
    port = system.url.rsplit(":", 1)[1]
    status, _, err = await system.khabar("up", "--port", port, "--data-dir", str(tmp_path))
    assert status == 1
    assert err == f"error: port {port} is taken: stop what uses it, or choose another with --port\n"


async def test_with_one_worker_the_order_of_a_push_is_kept(tmp_path: Path) -> None:
    """Promise 6: of an original and its duplicate in one push the second points to the first, never the reverse."""
    async with up(tmp_path) as system:
        start = await system.now()
        texts = [
            f"{letter} " + " ".join(f"{letter}{number}" for number in range(80)) for letter in "abcdefghijklmnopqrst"
        ]
        ids = await system.post(*({"text": text, "guid": f"{text[0]}{way}"} for text in texts for way in (1, 2)))
        events = await system.received(set(ids), cursor=start)
        assert [event["data"]["id"] for event in events] == ids
        pointed = {event["data"]["id"]: event["data"]["duplicate_of"] for event in events}
        assert [pointed[duplicate] for duplicate in ids[1::2]] == ids[0::2]
        assert not any(pointed[original] for original in ids[0::2])


async def test_a_restart_on_the_same_directory_continues(tmp_path: Path) -> None:
    """After a stop and after kill -9 of all processes: same cursors, same articles, duplicates still found."""
    text = "أعلنت الجامعة عن منح دراسية جديدة لطلاب الهندسة والطب في خمس مدن عربية ابتداء من العام المقبل"
    async with up(tmp_path) as system:
        start = await system.now()
        (first,) = await system.post({"text": text, "guid": "1", "source": "a.example"})
        events = await system.received({first}, cursor=start)
    async with up(tmp_path) as system:
        assert await system.received({first}, cursor=start) == events
        (duplicate,) = await system.post({"text": text, "guid": "2", "source": "b.example"})
        events = await system.received({first, duplicate}, cursor=start)
        assert [event["data"]["duplicate_of"] for event in events] == [None, first]
        # Paused first, so that none of them notices the end of another and closes its files properly.
        victims = [
            psutil.Process(system.process.pid),
            *map(system.child, ("Kafka", "Valkey", "enrich-1", "ingest", "api")),
        ]
        for victim in victims:
            victim.suspend()
        for victim in victims:
            victim.kill()
        await system.process.wait()
    async with up(tmp_path) as system:
        assert await system.received({first, duplicate}, cursor=start) == events
        (third,) = await system.post({"text": text, "guid": "3", "source": "c.example"})
        events = await system.received({third}, cursor=start)
        assert events[-1]["data"]["duplicate_of"] == first
