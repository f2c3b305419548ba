"""Each benchmark runs with small sizes, and prints its figures."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from benchmarks import annotate, synthetic
from benchmarks.hostile.__main__ import ALONE
from benchmarks.hostile.client import Address, Outcomes
from benchmarks.receivers import Child
from tests.harness import eventually
from tests.test_system import System, up


@dataclass(frozen=True)
class Small:
    """A benchmark's arguments for a run of seconds, and patterns that its output must have."""

    arguments: str
    prints: tuple[str, ...]


SMALL = {
    "aggregate": Small(
        "aggregate --articles 500 --days 0.01", (r"(?m)^ +500 .*\d$", r"entity: [1-9]\d* in the window")
    ),
    "annotate": Small(
        "annotate --runs 1 --seconds 0.1 --processes 1",
        (r"92 articles of", r"terms +\d", r"sum .* of the total", r"1 processes: \d"),
    ),
    "fanout speed": Small(
        "fanout speed --clients 5 --seconds 0.2 --rounds 1 --deliveries 1000",
        (r"paced +gateway +[1-9]", r"bursts +queues +[1-9]", r"bursts gateway / raw: \d"),
    ),
    "fanout memory": Small(
        "fanout memory --clients 5 --seconds 0.2 --servers gateway", (r"5 clients gateway .* KB after events",)
    ),
    "fanout filters": Small("fanout filters --rounds 1 --events 20", (r"q and language +cost of an event: .*10,000",)),
    "group": Small(
        "group --sizes 300 --timed 250 --counted 100 --compared 100",
        (r"process alone +\d", r"next 100 outputs are the same"),
    ),
    "group --hot": Small(
        "group --hot --articles 1200 --counted 200", (r"without it: \d", r" 800 articles: +[1-9]\d* µs per article")
    ),
    "hostile": Small(
        "hostile --seconds 0.6 --settle 0.3 --others 5 --no-limits --only pings filters",
        (r"alone +p50", r"spins: [1-9]", r"pings: .*[1-9][\d,]* pings", r"filters: .*[1-9][\d,]* sub", r"alone again"),
    ),
    "ingest latency": Small(
        "ingest latency --feeds 5 --items 3 --interval 1 --rate 20 --seconds 1 --rounds 1",
        (r"no feeds +p50 +\d", r"unchanged .* [1-9]\d*\.\d polls", r"changing +p50 +\d+\.\d ms +p99 +\d"),
    ),
    "ingest parse": Small(
        "ingest parse --items 12 --seconds 0.1 --rounds 1",
        (r"content:encoded, 12 items.*parser +[1-9].*feedparser +[1-9]", r"Atom.*ratio \d", r"RDF.*ratio \d"),
    ),
    "ingest polls": Small(
        "ingest polls --feeds 5 --items 3 --seconds 2 --rounds 1",
        (r"304 +[1-9][\d,]* polls a CPU-second", r"same document +[1-9][\d,]* polls"),
    ),
    "ingest push": Small(
        "ingest push --sizes 1,5 --at-once 2 --seconds 0.3 --rounds 1",
        (r" 1 a request: JSON [1-9]", r" 5 a request: .* NDJSON [1-9].*ratio \d.*producer: defaults [1-9]"),
    ),
    "queries": Small(
        "queries --articles 500 --entities 200 --rate 50 --seconds 0.8 --clients 4 --pause 0.05 --each",
        (r"[45]\d\d articles of 24 hours", r"store, script +\d", r"/v1/aggregates\S+ +[1-9]"),
    ),
    "recovery": Small(
        "recovery --articles 60", (r"grouped 60 articles", r"from snapshots +60 articles", r"from updates +60 articles")
    ),
}
# Most of their time they start processes or wait.
AT_ONCE = 3


async def run(arguments: str) -> str:
    """Run a benchmark; returns its output, which must have no error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *f"benchmarks.{arguments}".split(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture(scope="module")
async def outputs(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, "asyncio.Task[str]"]]:
    """The runs of all selected benchmarks, a few at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def in_turn(arguments: str) -> str:
        async with slots:
            return await run(arguments)

    selected = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    tasks = {name: asyncio.create_task(in_turn(one.arguments)) for name, one in SMALL.items() if name in selected}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.fixture(scope="module")
async def system(outputs: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A running ``khabar up``; it starts while the other benchmarks run."""
    async with up(tmp_path_factory.mktemp("up")) as running:
        yield running


async def test_latency_of_a_running_system(system: System) -> None:
    """The sustained rate and the latency at half of it are printed, and no article is missing."""
    output = await run(f"latency {system.url} --seconds 0.6 --ahead 5")
    assert re.search(r"sustained: [1-9]\d*\.\d articles/s with 5 in flight", output), output
    assert re.search(r"\d+ articles at \d+\.\d/s: p50 \d+ ms.*; missing 0;", output), output


async def test_throughput_of_a_running_system(system: System) -> None:
    """Articles per second, and CPU time and memory of each process are printed."""
    output = await run(f"throughput --articles 20 --data-dir {system.data_dir}")
    assert re.search(r"20 articles in \d+\.\d s", output), output
    assert re.search(r"enrich-1 +\d+\.\d+ CPU ms per article", output), output


@pytest.mark.parametrize("name", SMALL)
async def test_each_benchmark_prints_its_figures(name: str, outputs: dict[str, "asyncio.Task[str]"]) -> None:
    """A benchmark ends without an error, and its output has figures above zero."""
    output = await outputs[name]
    for pattern in SMALL[name].prints:
        assert re.search(pattern, output), f"{pattern} is not in\n{output}"


def test_a_step_that_annotate_does_not_call_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark of annotate refuses a table of steps that names another function, instead of measuring 0 ms."""

    def unused() -> None:
        """Not called by annotate."""

    monkeypatch.setattr(annotate, "STEPS", (*annotate.STEPS, ("unused", pytest.Module, unused)))
    articles = annotate._articles([annotate.SEEDS])[:3]
    with pytest.raises(RuntimeError, match=r"not called by annotate: .*unused"):
        annotate._steps(articles, rounds=1)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Address]:
    """A gateway without Kafka, whose log is empty."""
    with Child.of("fanout", "serve", "gateway") as server:
        yield ("127.0.0.1", server.read()["ports"][0])


async def test_each_hostile_client_does_something(gateway: Address) -> None:
    """All kinds of hostile clients at once reach the gateway, and none of them fails."""
    counts = {kind: Outcomes() for kind in ALONE}

    attacks = [asyncio.create_task(ALONE[kind](counts[kind], gateway)) for kind in ALONE]
    try:
        await eventually(lambda: all(counts.values()))
    finally:
        for attack in attacks:
            attack.cancel()
        ended = await asyncio.gather(*attacks, return_exceptions=True)
    assert not [error for error in ended if isinstance(error, Exception)]


def test_respaced_articles_have_evenly_spaced_arrivals(tmp_path) -> None:
    """Articles of a file are spread over the benchmark's window; too few of them are an error."""
    source, target = tmp_path / "annotated.jsonl", tmp_path / "prepared.jsonl.zst"
    synthetic.prepare(target, 3)
    source.write_bytes(b"".join(synthetic.lines(target)))
    synthetic.respaced(target, source, 2)
    first, second = synthetic.articles(synthetic.lines(target))
    assert second.received_at - first.received_at == synthetic.SPREAD / 2
    with pytest.raises(ValueError, match="has 3 articles; 4 are needed"):
        synthetic.respaced(target, source, 4)
