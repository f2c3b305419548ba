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
from services.documents.files import FilesError
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.events import ArticleIn
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
    """Write a JSONL file of these articles."""
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
    """The records on articles.raw with this source."""
    return [record for records in (await raw(kafka.bootstrap)).values() for record in records if record.source == name]


async def test_unpaced(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """All articles of a file arrive, complete and once; the outcome and its report count them."""
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
    """Texts with one guid arrive in the order of the file."""
    revised = [{"text": f"version {number}", "guid": "same", "source": name} for number in range(40)]
    filler = numbered(name + "-filler", 400)
    mixed = [article for number in range(40) for article in (revised[number], *filler[number * 10 :][:10])]
    assert (await replay.run(Plan([write(tmp_path / "a.jsonl", *mixed)], url))).accepted == 440
    assert [record.text for record in await of_source(kafka, name)] == [article["text"] for article in revised]


async def test_order_of_the_input(tmp_path: Path, name: str) -> None:
    """A server gets the articles in the order of the file, one request at a time, even if some requests are slow."""
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
        if number == 2:  # a batch that is not accepted is retried before any other is sent
            return web.Response(status=503, headers={"Retry-After": "0"})
        received.extend(json.loads(line)["guid"] for line in lines)
        return _accepted(len(lines))

    async with _site(answer) as url:
        outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *numbered(name, 750))], url))
    assert (outcome.accepted, requests) == (750, 9)
    assert received == [str(number) for number in range(750)]


async def test_rate(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """With a rate, articles are sent in order, not before and not long after their time."""
    plan = Plan([write(tmp_path / "a.jsonl", *numbered(name, 40))], url, rate=40)
    outcome = await replay.run(plan)
    assert outcome.accepted == 40
    assert 0.97 <= outcome.seconds < 3
    assert len(outcome.latencies) > 10


def test_schedule_of_a_rate(tmp_path: Path, name: str) -> None:
    """Article n (from 0) is due n/rate seconds after the start, counted over all passes."""
    plan = Plan([write(tmp_path / "a.jsonl", *numbered(name, 3))], "", rate=10, repeat=2)
    assert [due.at for due in schedule(plan, Outcome())] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_schedule_of_the_original_timing(tmp_path: Path) -> None:
    """With a speed, dates decide; an article without a date, or older than the one before it, is due at once."""
    minutes = [10, None, 11, 9, 13]
    articles = [
        {"text": "x"} | ({} if at is None else {"published_at": (START + timedelta(minutes=at)).isoformat()})
        for at in minutes
    ]
    plan = Plan([write(tmp_path / "a.jsonl", *articles)], "", speed=60, repeat=2)
    assert [due.at for due in schedule(plan, Outcome())] == [0, 0, 1, 1, 3, 3, 3, 4, 4, 6]


def test_repeat_makes_new_articles(tmp_path: Path) -> None:
    """Each pass has its own ids, whether by guid, url or content; the limit counts over all passes."""
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
    """The newest article of each pass is dated now, and intervals are kept; articles without date stay so."""
    articles = [*numbered(name, 3), {"text": "undated"}]
    plan = Plan([write(tmp_path / "a.jsonl", *articles)], "", repeat=2, rebase=True)
    dates = [due.article.published_at for due in schedule(plan, Outcome())]
    for one, two, newest, undated in (dates[:4], dates[4:]):
        assert abs(datetime.now(UTC) - newest) < timedelta(seconds=5)
        assert (newest - two, two - one) == (timedelta(minutes=1), timedelta(minutes=1))
        assert undated is None


def test_dates_of_broken_clocks_set_no_pace(tmp_path: Path, name: str) -> None:
    """An article of 2099 neither shifts the others into the past nor delays them by decades."""
    broken = [
        {"text": "from tomorrow", "published_at": "2099-01-01T00:00:00Z"},
        {"text": "old", "published_at": "1970-01-01T00:00:00Z"},
    ]
    path = write(tmp_path / "a.jsonl", *broken, *numbered(name, 3))
    newest = max(due.article.published_at for due in list(schedule(Plan([path], "", rebase=True), Outcome()))[2:])
    assert abs(datetime.now(UTC) - newest) < timedelta(seconds=5)
    assert max(due.at for due in schedule(Plan([path], "", speed=1.0), Outcome())) == 120


async def test_rejected_articles(tmp_path: Path, kafka: Kafka, intake: Intake, settings: Settings, name: str) -> None:
    """Invalid and rejected articles are reported with file and line, once; the others arrive; the status is 1."""
    long = {"text": "\u0001" * 999_999, "html": "\u0001" * 999_999, "source": name}
    path = write(tmp_path / "a.jsonl", *numbered(name, 3), {"title": "no body"}, long)
    async with serving(settings.model_copy(update={"max_body_bytes": 30_000_000}), intake) as url:
        outcome = await replay.run(Plan([path], url, repeat=2))
    assert (outcome.sent, outcome.accepted, outcome.rejected, outcome.lost) == (8, 6, 3, 0)
    assert outcome.status == 1
    assert outcome.complaints[0] == f"{path}:4: text: text or html is required and must not be blank"
    assert outcome.complaints[1].startswith(f"{path}:5: ")
    assert len(await of_source(kafka, name)) == 6


async def test_batches_that_a_server_rejects(tmp_path: Path, url: str, kafka: Kafka, name: str) -> None:
    """Of a batch above the server's limit all articles that fit arrive; the others are reported."""
    articles = numbered(name, 6)
    articles[3]["text"] = "x" * 150_000  # the server under test accepts 100,000 bytes
    for article in articles[4:]:
        article["text"] = "y" * 60_000
    path = write(tmp_path / "a.jsonl", *articles)
    outcome = await replay.run(Plan([path], url))
    assert (outcome.accepted, outcome.rejected, outcome.lost) == (5, 1, 0)
    assert outcome.complaints[0].startswith(f"{path}:4: the line has more than 100000 bytes")
    assert len(await of_source(kafka, name)) == 5


async def test_server_that_is_busy(tmp_path: Path, name: str) -> None:
    """429, 503 and a lost connection are retried, after the delay that the server requests."""
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
    """After ``max_wait`` the articles count as lost and the replay stops."""
    url = f"http://127.0.0.1:{free_port()}"
    outcome = await replay.run(Plan([write(tmp_path / "a.jsonl", *numbered(name, 300))], url, rate=1e6, max_wait=0.5))
    assert outcome.accepted == 0
    assert outcome.lost == outcome.sent == 100
    assert outcome.status == 1
    assert "gave up" in outcome.summary()


async def test_key_that_is_rejected(tmp_path: Path, name: str) -> None:
    """The key is sent; when it is wrong, the replay stops at once and reports it."""

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
    """A kafka:// target gets the same articles with the same ids."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 250))
    outcome = await replay.run(Plan([path], f"kafka://{kafka.bootstrap}"))
    assert (outcome.accepted, outcome.status) == (250, 0)
    found = await of_source(kafka, name)
    assert {record.id for record in found} == {
        article_id(ArticleIn.model_validate(article)) for article in numbered(name, 250)
    }


async def test_kafka_that_is_unreachable(tmp_path: Path, name: str) -> None:
    """When Kafka cannot be reached, the articles count as lost after ``max_wait``."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 3))
    outcome = await replay.run(Plan([path], f"kafka://127.0.0.1:{free_port()}", max_wait=1))
    assert (outcome.accepted, outcome.lost, outcome.status) == (0, 3, 1)


async def test_invalid_targets_and_paths(tmp_path: Path) -> None:
    """An invalid target and a missing path are errors before anything is sent."""
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
    # Only the HTTP client rejects this one, also at once.
    async with asyncio.timeout(1):
        outcome = await replay.run(Plan([path], "http://user:word@127.0.0.1:80", api_key="key"))
    assert (outcome.accepted, outcome.status) == (0, 1)
    assert "credentials" in outcome.failure
    with pytest.raises(FilesError, match="missing"):
        await replay.run(Plan([tmp_path / "missing"], "http://127.0.0.1:1"))


async def test_target_without_a_scheme(tmp_path: Path, url: str, name: str) -> None:
    """HOST:PORT alone means http."""
    path = write(tmp_path / "a.jsonl", *numbered(name, 3))
    outcome = await replay.run(Plan([path], url.removeprefix("http://")))
    assert (outcome.accepted, outcome.status) == (3, 0)


async def test_report_that_cannot_be_written(tmp_path: Path, url: str, name: str) -> None:
    """The summary is still printed; then one sentence says why there is no report."""
    path, report = write(tmp_path / "a.jsonl", *numbered(name, 5)), tmp_path / ("r" * 300)
    result = await asyncio.to_thread(CliRunner().invoke, command, [str(path), "--to", url, "--report", str(report)])
    assert result.exit_code == 1
    summary, complaint = result.stderr.splitlines()
    assert summary.startswith("5 sent: 5 accepted, ")
    assert complaint.startswith(f"Error: --report: {report} cannot be written: ")


async def test_command(tmp_path: Path, url: str, name: str) -> None:
    """The command sends, writes its report, prints one line and exits with 0; with 1 for an invalid file."""
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
    """Contradictory and invalid options are usage errors that name the option."""
    path = write(tmp_path / "a.jsonl", {"text": "x"})
    result = CliRunner().invoke(command, [str(path), *arguments])
    assert result.exit_code == 2
    assert "--" in result.stderr


async def test_interrupt(tmp_path: Path, kafka: Kafka, url: str, name: str) -> None:
    """SIGINT ends a replay with its summary; everything that was sent has arrived."""
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
    """The response of a server that accepted this number of articles."""
    return web.json_response({"accepted": [{"index": n, "id": "x"} for n in range(count)], "rejected": []}, status=202)


@contextlib.asynccontextmanager
async def _site(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Run a server that handles /v1/articles with ``answer``; yields its URL."""
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
