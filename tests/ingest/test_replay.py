"""``khabar replay`` against the real push server and the real Kafka."""

import asyncio
import contextlib
import json
import re
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from ingest import replay
from ingest.commands import replay as command
from ingest.producer import Intake
from ingest.replay import Outcome, Plan, TargetError, schedule
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.events import ArticleIn
from services.files import FilesError
from services.identity import article_id
from services.settings import Settings
from tests.harness import eventually
from tests.ingest.conftest import raw, serving

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return uuid.uuid4().hex


def write(path: Path, *articles: dict) -> Path:
    """A JSONL file of these articles."""
    path.write_text("".join(json.dumps(article, ensure_ascii=False) + "\n" for article in articles), encoding="utf-8")
    return path


def numbered(name: str, count: int) -> list[dict]:
    """Articles a minute apart."""
    return [
        {
            "text": f"نص {number}",
            "source": name,
            "guid": str(number),
            "published_at": (START + timedelta(minutes=number)).isoformat(),
        }
        for number in range(count)
    ]


async def of_source(kafka: Kafka, name: str) -> list:
    """Records on articles.raw of this source."""
    return [record for records in (await raw(kafka.bootstrap)).values() for record in records if record.source == name]


async def test_unpaced(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """Everything in a file arrives, whole and once; the outcome and its report count it."""
    articles = numbered(name, 950)
    outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *articles)], url))
    assert (outcome.sent, outcome.accepted, outcome.rejected, outcome.lost) == (950, 950, 0, 0)
    assert outcome.status == 0
    found = await of_source(kafka, name)
    wanted = {article["guid"]: ArticleIn.model_validate(article) for article in articles}
    assert len(found) == 950
    for record in found:
        assert ArticleIn.model_validate(record.model_dump()) == wanted[record.guid]
    report = json.loads(outcome.report())
    assert (report["sent"], report["accepted"], report["lost"]) == (950, 950, 0)
    assert report["articles_per_second"] > 0
    assert 0 < report["request_latency_ms"]["p50"] <= report["request_latency_ms"]["p99"]


async def test_versions_keep_their_order(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """Texts under one guid arrive in the order of the file."""
    revised = [{"text": f"version {number}", "guid": "same", "source": name} for number in range(40)]
    filler = numbered(name + "-filler", 400)
    mixed = [article for number in range(40) for article in (revised[number], *filler[number * 10 :][:10])]
    assert (await replay.run(Plan([write(tmp_path / "a.jsonl", *mixed)], url))).accepted == 440
    assert [record.text for record in await of_source(kafka, name)] == [article["text"] for article in revised]


async def test_order_of_the_input(tmp_path: Path, name: str) -> None:
    """A server gets the articles in the order of the file, one request at a time, though some take it longer."""
    received: list[str] = []
    under_way: set[int] = set()
    requests = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        number = requests
        assert not under_way
        under_way.add(number)
        lines = (await request.text()).splitlines()
        await asyncio.sleep(0.1 if number % 2 else 0)
        under_way.remove(number)
        if number == 2:  # what is not taken comes again before anything else
            return web.Response(status=503, headers={"Retry-After": "0"})
        received.extend(json.loads(line)["guid"] for line in lines)
        return _accepted(len(lines))

    async with _site(answer) as url:
        outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *numbered(name, 750))], url))
    assert (outcome.accepted, requests) == (750, 9)
    assert received == [str(number) for number in range(750)]


async def test_rate(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """At a rate articles go out in order, neither sooner nor much later than it says."""
    plan = Plan([write(tmp_path / "a.jsonl", *numbered(name, 40))], url, rate=40)
    outcome = await replay.run(plan)
    assert outcome.accepted == 40
    assert 0.97 <= outcome.seconds < 3
    assert len(outcome.latencies) > 10


def test_schedule_of_a_rate(tmp_path: Path, name: str) -> None:
    """The nth article is due n/rate seconds after the start, over all passes."""
    plan = Plan([write(tmp_path / "a.jsonl", *numbered(name, 3))], "", rate=10, repeat=2)
    assert [due.at for due in schedule(plan, Outcome())] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_schedule_of_the_original_timing(tmp_path: Path) -> None:
    """With a speed, dates decide; an article without date, or older than its predecessor, goes with that."""
    minutes = [10, None, 11, 9, 13]
    articles = [
        {"text": "x"} | ({} if at is None else {"published_at": (START + timedelta(minutes=at)).isoformat()})
        for at in minutes
    ]
    plan = Plan([write(tmp_path / "a.jsonl", *articles)], "", speed=60, repeat=2)
    assert [due.at for due in schedule(plan, Outcome())] == [0, 0, 1, 1, 3, 3, 3, 4, 4, 6]


def test_repeat_makes_new_articles(tmp_path: Path) -> None:
    """Each pass has ids of its own, whatever identified the articles; the limit counts over all passes."""
    articles = [
        {"text": "a", "guid": "g"},
        {"text": "b", "url": "https://example.org/b"},
        {"text": "c"},
        {"text": "d", "guid": "x" * 1_000},
    ]
    plan = Plan([write(tmp_path / "a.jsonl", *articles)], "", repeat=0, limit=14)
    found = [due.article for due in schedule(plan, Outcome())]
    assert len(found) == len({article_id(article) for article in found}) == 14
    assert [article.guid for article in found[4:6]] == ["g#2", "https://example.org/b#2"]
    assert all(ArticleIn.model_validate(article.model_dump()) == article for article in found)


def test_rebase(tmp_path: Path, name: str) -> None:
    """The newest article of every pass is from now, and the distances stay; undated ones stay undated."""
    articles = [*numbered(name, 3), {"text": "undated"}]
    plan = Plan([write(tmp_path / "a.jsonl", *articles)], "", repeat=2, rebase=True)
    dates = [due.article.published_at for due in schedule(plan, Outcome())]
    for one, two, newest, undated in (dates[:4], dates[4:]):
        assert abs(datetime.now(UTC) - newest) < timedelta(seconds=5)
        assert (newest - two, two - one) == (timedelta(minutes=1), timedelta(minutes=1))
        assert undated is None


async def test_refused_articles(tmp_path: Path, kafka: Kafka, intake: Intake, settings: Settings, name: str) -> None:
    """What the file or the server refuses is said with file and line, once; the rest arrives; the status is 1."""
    long = {"text": "\u0001" * 999_999, "html": "\u0001" * 999_999, "source": name}
    path = write(tmp_path / "a.jsonl", *numbered(name, 3), {"title": "no body"}, long)
    async with serving(settings.model_copy(update={"max_body_bytes": 30_000_000}), intake) as url:
        outcome = await replay.run(Plan([path], url, repeat=2))
    assert (outcome.sent, outcome.accepted, outcome.rejected, outcome.lost) == (8, 6, 3, 0)
    assert outcome.status == 1
    assert outcome.complaints[0] == f"{path}:4: text: text or html is required and must not be blank"
    assert outcome.complaints[1].startswith(f"{path}:5: ")
    assert len(await of_source(kafka, name)) == 6


async def test_batches_that_a_server_refuses_whole(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """A batch larger than the server takes is halved until what fits has arrived and what does not is named."""
    articles = numbered(name, 6)
    articles[3]["text"] = "x" * 150_000  # the server under test takes 100,000 bytes
    for article in articles[4:]:
        article["text"] = "y" * 60_000
    path = write(tmp_path / "a.jsonl", *articles)
    outcome = await replay.run(Plan([path], url))
    assert (outcome.accepted, outcome.rejected, outcome.lost) == (5, 1, 0)
    assert outcome.complaints[0].startswith(f"{path}:4: 413: ")
    assert len(await of_source(kafka, name)) == 5


async def test_server_that_is_busy(tmp_path: Path, name: str) -> None:
    """429, 503 and a lost connection are tried again, after the pause the server asks for."""
    asked: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        lines = (await request.text()).splitlines()
        asked.append(time.monotonic())
        if len(asked) == 1:
            return web.Response(status=503, headers={"Retry-After": "0.5"})
        if len(asked) == 2:
            return web.Response(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
        if len(asked) == 3:
            request.transport.abort()
        return _accepted(len(lines))

    async with _site(answer) as url:
        outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *numbered(name, 3))], url))
    assert (outcome.accepted, outcome.lost, outcome.status) == (3, 0, 0)
    assert len(asked) == 4
    assert asked[1] - asked[0] >= 0.5


async def test_nobody_listens(tmp_path: Path, name: str) -> None:
    """When patience ends the articles count as lost and the replay stops."""
    url = f"http://127.0.0.1:{free_port()}"
    outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *numbered(name, 300))], url, rate=1e6, patience=0.5))
    assert outcome.accepted == 0
    assert outcome.lost == outcome.sent == 100
    assert outcome.status == 1
    assert "gave up" in outcome.summary()


async def test_key_that_is_refused(tmp_path: Path, name: str) -> None:
    """The key is sent; where it is not the right one the replay stops at once and says so."""

    async def answer(request: web.Request) -> web.Response:
        detail = {"title": "Unauthorized", "detail": request.headers["Authorization"]}
        return web.json_response(detail, status=401)

    async with _site(answer) as url:
        outcome = await replay.run(
            Plan([write(tmp_path / "a.jsonl", *numbered(name, 300))], url, rate=1e6, api_key="secret")
        )
    assert (outcome.sent, outcome.rejected, outcome.status) == (100, 100, 1)
    assert "401: Bearer secret" in outcome.summary()


async def test_straight_to_kafka(tmp_path: Path, kafka: Kafka, name: str) -> None:
    """A kafka:// target takes the same articles under the same ids."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 250))
    outcome = await replay.run(Plan([path], f"kafka://{kafka.bootstrap}"))
    assert (outcome.accepted, outcome.status) == (250, 0)
    found = await of_source(kafka, name)
    assert {record.id for record in found} == {
        article_id(ArticleIn.model_validate(article)) for article in numbered(name, 250)
    }


async def test_kafka_that_is_not_there(tmp_path: Path, name: str) -> None:
    """A Kafka that cannot be reached is given up."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 3))
    outcome = await replay.run(Plan([path], f"kafka://127.0.0.1:{free_port()}", patience=1))
    assert (outcome.accepted, outcome.lost, outcome.status) == (0, 3, 1)


async def test_targets_and_paths_that_are_none(tmp_path: Path) -> None:
    """A wrong target and a missing path are refused before anything is sent."""
    path = write(tmp_path / "a.jsonl", {"text": "x"})
    for target in (
        "ftp://x",
        "kafka://",
        "kafka://127.0.0.1:9092,127.0.0.1:99999",
        "kafka://127.0.0.1:port",
        "http://[::1",
        "http://127.0.0.1:99999",
        "127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:eighty",
        "http://:80",
        "http://two words:80",
        "http://a..b",
        "http://" + "x" * 64,
        "http://127.0.0.1:80?x=1",
        "http://one:80,two:80",
    ):
        async with asyncio.timeout(1):
            with pytest.raises(TargetError, match=f"^{re.escape(target)}: "):
                await replay.run(Plan([path], target))
    # Only the client finds this one; it says so at once too.
    async with asyncio.timeout(1):
        outcome = await replay.run(Plan([path], "http://user:word@127.0.0.1:80", api_key="key"))
    assert (outcome.accepted, outcome.status) == (0, 1)
    assert "credentials" in outcome.failure
    with pytest.raises(FilesError, match="missing"):
        await replay.run(Plan([tmp_path / "missing"], "http://127.0.0.1:1"))


async def test_target_without_a_scheme(tmp_path: Path, url: str, name: str) -> None:
    """HOST:PORT alone is an address of HTTP."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 3))
    outcome = await replay.run(Plan([path], url.removeprefix("http://")))
    assert (outcome.accepted, outcome.status) == (3, 0)


async def test_report_that_cannot_be_written(tmp_path: Path, url: str, name: str) -> None:
    """What became of the articles is said all the same; then why there is no report, in one sentence."""
    path, report = write(tmp_path / "a.jsonl", *numbered(name, 5)), tmp_path / ("r" * 300)
    result = await asyncio.to_thread(CliRunner().invoke, command, [str(path), "--to", url, "--report", str(report)])
    assert result.exit_code == 1
    summary, complaint = result.stderr.splitlines()
    assert summary.startswith("5 sent: 5 accepted, ")
    assert complaint.startswith(f"Error: --report: {report} cannot be written: ")


async def test_command(tmp_path: Path, url: str, name: str) -> None:
    """The command sends, writes its report, says one line at the end and ends with 0; with 1 for a bad file."""
    path, report = write(tmp_path / "a.jsonl", *numbered(name, 5)), tmp_path / "report.json"
    arguments = [str(path), "--to", url, "--limit", "4", "--report", str(report)]
    result = await asyncio.to_thread(CliRunner().invoke, command, arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("4 sent: 4 accepted, 0 rejected, 0 lost; ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert json.loads(report.read_text())["accepted"] == 4

    path.write_text("{\n")
    result = await asyncio.to_thread(CliRunner().invoke, command, [str(path), "--to", url])
    assert result.exit_code == 1
    assert f"{path}:1: not JSON: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "1", "--speed", "2"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--speed", "nan"],
        ["--speed", "inf"],
        ["--unpaced", "--rate", "1"],
        ["--repeat", "-1"],
        ["--report", "/no/such/r.json"],
    ],
)
def test_wrong_options(tmp_path: Path, arguments: list[str]) -> None:
    """Options that contradict each other or make no sense are refused by name."""
    path = write(tmp_path / "a.jsonl", {"text": "x"})
    result = CliRunner().invoke(command, [str(path), *arguments])
    assert result.exit_code == 2
    assert "--" in result.stderr


async def test_interrupt(tmp_path: Path, kafka: Kafka, url: str, name: str) -> None:
    """Ctrl-C ends a replay with its summary; what was sent was answered."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 1_000))
    child = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "khabar",
        *("replay", str(path), "--to", url, "--rate", "50", "--repeat", "0"),
        stderr=asyncio.subprocess.PIPE,
    )
    await eventually(lambda: of_source(kafka, name))
    child.send_signal(signal.SIGINT)
    async with asyncio.timeout(15):
        _, stderr = await child.communicate()
    assert child.returncode == 130
    (line,) = stderr.decode().splitlines()
    assert " 0 rejected, 0 lost; " in line
    assert line.endswith("; interrupted")
    assert len(await of_source(kafka, name)) == int(line.split()[0])


def _accepted(count: int) -> web.Response:
    """The answer of a server that accepted so many."""
    return web.json_response({"accepted": [{"index": n, "id": "x"} for n in range(count)], "rejected": []}, status=202)


@contextlib.asynccontextmanager
async def _site(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server that answers /v1/articles this way: its address."""
    app = web.Application()
    app.router.add_post("/v1/articles", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
