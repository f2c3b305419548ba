"""The whole house as a person starts it: ``khabar up``, real servers, real processes, from POST to subscriber."""

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


class House:
    """A running ``khabar up``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, data_dir: Path) -> None:
        self.process = process
        self.url = url
        self.data_dir = data_dir

    async def khabar(self, *command: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        """Run another ``khabar`` command beside it: exit status, stdout, stderr."""
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
        """Article envelopes from a cursor on until all ids have come (copies included)."""
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
        """The cursor of this moment."""
        async with connect(f"{self.url.replace('http', 'ws')}/v1/stream") as socket:
            event = json.loads(str(await socket.recv()).splitlines()[0])
            assert event["type"] == "subscribed"
            return str(event["cursor"])

    def child(self, name: str) -> psutil.Process:
        """The process of one service as noted by khabar up."""
        noted = json.loads((self.data_dir / "endpoints.json").read_text())
        return psutil.Process(noted["processes"][name])


def environment(data_dir: Path) -> dict[str, str]:
    """A clean environment with the data directory set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    return kept | {"KHABAR_DATA_DIR": str(data_dir), "KHABAR_SESSION_TIMEOUT": "2", "PYTHONUNBUFFERED": "1"}


@asynccontextmanager
async def up(data_dir: Path, *options: str) -> AsyncIterator[House]:
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
        env=environment(data_dir),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line.decode() == f"ready http://127.0.0.1:{port}\n"
        yield House(process, f"http://127.0.0.1:{port}", data_dir)
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(40):
                assert await process.wait() == 0


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house with two workers, shared by this module."""
    async with up(tmp_path_factory.mktemp("house"), "--workers", "2") as running:
        yield running


async def test_from_post_to_subscriber_and_rest(house: House) -> None:
    """An article pushed in Arabic comes out enriched on the stream, and REST knows it and its story."""
    cursor = await house.now()
    (article_id,) = await house.post(
        {
            "text": "التقى فلاديمير بوتين نظيره الفرنسي إيمانويل ماكرون في القاهرة لبحث أسعار القمح العالمية",
            "title": "بوتين وماكرون يلتقيان في القاهرة",
            "source": "one.example",
            "guid": "first",
        }
    )
    (envelope,) = await house.received({article_id}, cursor=cursor)
    article = envelope["data"]
    assert article["language"] == "ar"
    assert {"Q7747", "Q3052772", "Q85"} <= {entity["id"] for entity in article["entities"]}
    for entity in article["entities"]:
        for mention in entity["mentions"]:
            assert article["text"][mention["start"] : mention["end"]] == mention["text"]
    assert await eventually(lambda: found(house, f"/v1/articles/{article_id}")) == article
    story = await eventually(lambda: found(house, f"/v1/stories/{article['story']}"))
    assert story["articles"] == [article_id]
    _, numbers = await house.get("/v1/aggregates?by=entity&window=1h&limit=100")
    assert "Q7747" in {item["id"] for item in numbers["items"]}


async def found(house: House, path: str) -> Any:
    """The body of a REST answer, or None while it is not 200."""
    status, body = await house.get(path)
    return body if status == 200 else None


async def test_replayed_seeds_come_out_whole_and_once(house: House) -> None:
    """Every line of seeds/ is an event: first revisions, corrections as revision 2, copies marked."""
    cursor = await house.now()
    status, _, err = await house.khabar("replay", str(SEEDS), "--to", house.url)
    assert status == 0, err
    labels = seed_labels()
    events = await until_count(house, cursor, len(labels))
    keys = [(event["data"]["id"], event["data"]["revision"]) for event in events]
    assert len(set(keys)) == len(keys) == len(labels)
    assert sum(revision == 2 for _, revision in keys) == sum(label["revision"] == 2 for label in labels)
    assert sum(event["data"]["duplicate_of"] is not None for event in events) >= 8
    cursors = [event["cursor"] for event in events]
    assert cursors == sorted(set(cursors))


async def until_count(house: House, cursor: str, count: int) -> list[dict[str, Any]]:
    """The next articles from a cursor on."""
    events: list[dict[str, Any]] = []
    address = f"{house.url.replace('http', 'ws')}/v1/stream?type=article&duplicates=show&cursor={cursor}"
    async with asyncio.timeout(60), connect(address, max_size=None) as socket:
        while len(events) < count:
            events += [
                event
                for line in str(await socket.recv()).splitlines()
                if (event := json.loads(line))["type"] == "article"
            ]
    return events


async def test_sent_again_nothing_comes_out_again(house: House) -> None:
    """The same article twice is one event; other content under the same id is the next revision, and no more."""
    cursor = await house.now()
    texts = ["هبت رياح قوية على الساحل", "هبت رياح قوية على الساحل وأغلقت الموانئ", "عادت الموانئ إلى العمل"]
    ids = set()
    for text in (texts[0], texts[0], texts[1], texts[1], texts[2]):
        ids |= set(await house.post({"source": "again.example", "guid": "7", "text": text}))
    assert len(ids) == 1
    events = await until_count(house, cursor, 3)
    assert [(event["data"]["revision"], event["data"]["text"]) for event in events] == list(enumerate(texts, 1))


@pytest.mark.parametrize("name", ["ingest", "enrich-1", "api", "Valkey", "Kafka"])
async def test_any_process_may_die(house: House, name: str) -> None:
    """kill -9 of any one: it is started again, and what was accepted before, meanwhile and after comes out once."""
    cursor = await house.now()
    (before,) = await house.post({"text": f"قبل توقف {name} بقليل", "guid": f"before {name}"})
    house.child(name).kill()
    after = await eventually(lambda: accepted(house, {"text": f"بعد عودة {name} بقليل", "guid": f"after {name}"}), 60)
    events = await eventually(lambda: attempt(house, {before, after}, cursor), 60)
    ids = [event["data"]["id"] for event in events]
    assert ids.count(before) == ids.count(after) == 1
    assert await eventually(lambda: found(house, "/readyz"), 60)


async def accepted(house: House, article: dict[str, Any]) -> str | None:
    """The id of an article once somebody takes it."""
    try:
        return (await house.post(article))[0]
    except (AssertionError, aiohttp.ClientError):
        return None


async def attempt(house: House, ids: set[str], cursor: str) -> list[dict[str, Any]] | None:
    """Events once a gateway delivers them."""
    try:
        return await house.received(ids, cursor=cursor, seconds=20)
    except (OSError, TimeoutError, WebSocketException):
        return None


async def test_dead_letters_are_listed_shown_and_retried(house: House) -> None:
    """What fails in a stage is found by the command, with its cause, and can be sent again."""
    (article_id,) = await house.post({"text": "١٢٣ ٤٥٦ !!", "guid": "unreadable"})

    async def listed() -> dict[str, Any] | None:
        _, out, _ = await house.khabar("dead-letters", "list", "--json")
        return next((row for row in map(json.loads, out.splitlines()) if row["key"] == article_id), None)

    letter = await eventually(listed)
    assert letter["stage"] == "annotate"
    assert "no readable text" in letter["cause"]
    status, out, _ = await house.khabar("dead-letters", "show", str(letter["number"]))
    assert status == 0
    assert "١٢٣ ٤٥٦ !!" in out
    status, out, _ = await house.khabar("dead-letters", "retry", str(letter["number"]))
    assert (status, out) == (0, "1 sent again\n")
    again = await eventually(listed)
    assert again["number"] > letter["number"]
    status, _, err = await house.khabar("dead-letters", "show", "999999")
    assert status != 0
    assert "there is no dead letter 999999" in err


async def test_status_tells_what_runs(house: House) -> None:
    """Gateway, lag, numbers, dead letters and processes in one JSON object, and as text."""
    status, out, err = await house.khabar("status", "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["healthy"]
    assert told["gateway"]["ready"]
    assert told["kafka"]["workers"] == 2
    assert told["kafka"]["topics"]["updates"]["records"] > 0
    assert {"ingest", "enrich-1", "enrich-2", "api", "Kafka", "Valkey"} <= {p["name"] for p in told["processes"]}
    status, out, _ = await house.khabar("status")
    assert status == 0
    assert "dead letters" in out


async def test_commands_find_the_running_instance(house: House, tmp_path: Path) -> None:
    """From any directory and without a setting, those of ``khabar up`` are found."""
    settings = {name: value for name, value in environment(house.data_dir).items() if not name.startswith("KHABAR_")}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "status", "--json"),
        cwd=tmp_path,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    found = json.loads(out)
    assert (found["gateway"]["url"], len(found["processes"])) == (house.url, 6)


async def test_watch_prints_what_passes(house: House) -> None:
    """``khabar watch --json`` prints envelopes, filtered like the stream."""
    cursor = await house.now()
    (article_id,) = await house.post({"text": "Putin spoke in Geneva about wheat", "guid": "watched"})
    status, out, err = await house.khabar(
        "watch",
        "--to",
        house.url,
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


async def test_a_second_house_on_the_same_directory_is_refused(house: House) -> None:
    """Two on one directory would destroy its data: one sentence says so."""
    status, _, err = await house.khabar("up", "--port", "0")
    assert status == 1
    assert err.startswith("error: another khabar up uses ")
    assert "Traceback" not in err


async def test_a_taken_port_is_refused_in_one_sentence(house: House, tmp_path: Path) -> None:
    """The sentence names the port and what to do."""
    port = house.url.rsplit(":", 1)[1]
    status, _, err = await house.khabar("up", "--port", port, "--data-dir", str(tmp_path))
    assert status == 1
    assert err == f"error: port {port} is taken: stop what uses it, or choose another with --port\n"


async def test_with_one_worker_the_order_of_a_push_is_kept(tmp_path: Path) -> None:
    """Promise 6: of each original and its copy in one push the second points to the first, never the other way."""
    async with up(tmp_path) as house:
        start = await house.now()
        texts = [
            f"{letter} " + " ".join(f"{letter}{number}" for number in range(80)) for letter in "abcdefghijklmnopqrst"
        ]
        ids = await house.post(*({"text": text, "guid": f"{text[0]}{way}"} for text in texts for way in (1, 2)))
        events = await house.received(set(ids), cursor=start)
        assert [event["data"]["id"] for event in events] == ids
        pointed = {event["data"]["id"]: event["data"]["duplicate_of"] for event in events}
        assert [pointed[copy] for copy in ids[1::2]] == ids[0::2]
        assert not any(pointed[original] for original in ids[0::2])


async def test_restart_on_the_same_directory_carries_on(tmp_path: Path) -> None:
    """After a stop and after kill -9 of everything: same cursors, same articles, copies still found."""
    text = "أعلنت الجامعة عن منح دراسية جديدة لطلاب الهندسة والطب في خمس مدن عربية ابتداء من العام المقبل"
    async with up(tmp_path) as house:
        start = await house.now()
        (first,) = await house.post({"text": text, "guid": "1", "source": "a.example"})
        events = await house.received({first}, cursor=start)
    async with up(tmp_path) as house:
        assert await house.received({first}, cursor=start) == events
        (copy,) = await house.post({"text": text, "guid": "2", "source": "b.example"})
        told = await house.received({first, copy}, cursor=start)
        assert [event["data"]["duplicate_of"] for event in told] == [None, first]
        # Held first, so that none of them notices the end of another and closes its files in order.
        victims = [
            psutil.Process(house.process.pid),
            *map(house.child, ("Kafka", "Valkey", "enrich-1", "ingest", "api")),
        ]
        for victim in victims:
            victim.suspend()
        for victim in victims:
            victim.kill()
        await house.process.wait()
    async with up(tmp_path) as house:
        assert await house.received({first, copy}, cursor=start) == told
        (third,) = await house.post({"text": text, "guid": "3", "source": "c.example"})
        told = await house.received({third}, cursor=start)
        assert told[-1]["data"]["duplicate_of"] == first
