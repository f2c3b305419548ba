"""``khabar ingest watch`` on a real directory, with the real push server and Kafka."""

import asyncio
import contextlib
import gzip
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.producer import Intake
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.settings import Settings
from tests.harness import eventually
from tests.ingest.conftest import raw, serving

KHABAR = Path(sys.executable).parent / "khabar"


@pytest.fixture
def name() -> str:
    """A source that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory that is watched."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def write(path: Path, source: str, *texts: str, age: float = 60) -> Path:
    """Write a JSONL file that was complete ``age`` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "source": source, "guid": text} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.utime(path, (time.time() - age,) * 2)
    return path


def content(directory: Path) -> dict[str, str]:
    """The files in a directory, and the beginning of each."""
    return {
        str(path.relative_to(directory)): path.read_text(errors="replace")[:2_000]
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".khabar-watch.lock"
    }


async def texts(kafka: Kafka, name: str) -> list[str | None]:
    """The texts on articles.raw with this source."""
    found = (await raw(kafka.bootstrap)).values()
    return sorted(record.text or "" for records in found for record in records if record.source == name)


async def once(directory: Path, url: str, *options: str) -> tuple[int | None, str]:
    """The exit status of the command with ``--once``, and what it printed."""
    child = await asyncio.create_subprocess_exec(
        *(KHABAR, "ingest", "watch", str(directory), "--once", "--to", url, *options), stderr=asyncio.subprocess.PIPE
    )
    _, printed = await child.communicate()
    return child.returncode, printed.decode()


@contextlib.asynccontextmanager
async def running(directory: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process; killed at the end unless it has ended."""
    child = await asyncio.create_subprocess_exec(
        KHABAR, "ingest", "watch", str(directory), "--to", url, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def test_what_is_there_is_sent_and_moved(directory: Path, url: str, kafka: Kafka, name: str) -> None:
    """Files of all kinds and in subdirectories go to done; hidden and temporary ones stay; the status is 0."""
    write(directory / "a.jsonl", name, "one", "two")
    write(directory / "deep/er/a.jsonl", name, "three")
    packed = directory / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps({"text": "four", "source": name}).encode()))
    os.utime(packed, (1, 1))
    left = ["c.jsonl.part", ".d.jsonl", "e.jsonl.tmp", ".hidden/f.jsonl"]
    for one in left:
        write(directory / one, name, "not yet")
    (directory / "link.jsonl").symlink_to("/etc/hostname")
    status, logged = await once(directory, url)
    assert status == 0, logged
    assert logged.count("file_sent") == 3
    assert await texts(kafka, name) == ["four", "one", "three", "two"]
    assert content(directory).keys() == {
        *("done/a.jsonl", "done/b.jsonl.gz", "done/deep/er/a.jsonl", "link.jsonl", *left),
    }


async def test_rejected_articles_are_named(directory: Path, url: str, kafka: Kafka, name: str) -> None:
    """The good articles of a file are sent; it goes to failed with place and cause of each bad one; the status is 1."""
    bad = write(directory / "sub/bad.jsonl", name, "good", "good too")
    bad.write_text("{\n" + bad.read_text() + '{"text": " "}\n' * 30)
    (directory / "photo.png").write_bytes(b"\x89PNG")
    os.utime(bad, (1, 1))
    os.utime(directory / "photo.png", (1, 1))
    assert (await once(directory, url))[0] == 1
    assert await texts(kafka, name) == ["good", "good too"]
    found = content(directory)
    assert found.keys() == {
        *("failed/sub/bad.jsonl", "failed/sub/bad.jsonl.error.txt", "failed/photo.png", "failed/photo.png.error.txt")
    }
    errors = found["failed/sub/bad.jsonl.error.txt"].splitlines()
    assert errors[0].startswith(f"{bad}:1: not JSON")
    assert errors[1] == f"{bad}:4: text: text or html is required and must not be blank"
    assert len(errors) == 31 or len(found["failed/sub/bad.jsonl.error.txt"]) == 2_000
    assert "not a kind of file that holds articles" in found["failed/photo.png.error.txt"]


async def test_a_name_that_was_there_before(directory: Path, url: str, name: str) -> None:
    """No file in done or failed is overwritten."""
    for text in ("first", "second", "third"):
        write(directory / "a.jsonl", name, text)
        assert (await once(directory, url))[0] == 0
    found = content(directory)
    assert found.keys() == {"done/a.jsonl", "done/2.a.jsonl", "done/3.a.jsonl"}
    assert "second" in found["done/2.a.jsonl"]


async def test_a_file_is_read_when_it_is_complete(directory: Path, url: str, kafka: Kafka, name: str) -> None:
    """Not while a writer has it open, however long it pauses; at once when it was renamed into place. SIGTERM ends."""
    async with running(directory, url) as child:
        with (directory / "slow.jsonl").open("w") as slow:
            slow.write(json.dumps({"text": "first part", "source": name}) + "\n")
            slow.flush()
            os.utime(directory / "slow.jsonl", (1, 1))
            write(directory / "ready.part", name, "ready").rename(directory / "ready.jsonl")
            await eventually((directory / "done/ready.jsonl").exists)
            await asyncio.sleep(1.5)
            assert (directory / "slow.jsonl").exists()
            slow.write(json.dumps({"text": "second part", "source": name}) + "\n")
        await eventually((directory / "done/slow.jsonl").exists)
        assert await texts(kafka, name) == ["first part", "ready", "second part"]
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await child.wait() == 0


async def test_killed_in_the_middle(directory: Path, kafka: Kafka, intake: Intake, name: str) -> None:
    """A file that was not finished is sent again by the next watcher, with the same ids: nothing is lost."""
    write(directory / "many.jsonl", name, *(f"text {number}" for number in range(3_000)))
    async with serving(Settings(kafka=kafka.bootstrap), intake) as url:
        async with running(directory, url) as child:
            await eventually(lambda: texts(kafka, name))
            child.kill()
        assert (directory / "many.jsonl").exists()
        assert (await once(directory, url))[0] == 0
    found = {key: records for key, records in (await raw(kafka.bootstrap)).items() if records[0].source == name}
    assert len(found) == 3_000
    assert all(len({record.text for record in records}) == 1 for records in found.values())
    assert (directory / "done/many.jsonl").exists()


async def test_without_a_target(directory: Path, kafka: Kafka, intake: Intake, name: str) -> None:
    """Files wait until the target is there; a target that refuses the key ends the command at once."""
    write(directory / "a.jsonl", name, "waits")
    settings = Settings(kafka=kafka.bootstrap, ingest_port=free_port(), ingest_token="t" * 20)
    async with running(directory, f"http://127.0.0.1:{free_port()}") as child:
        assert child.stderr is not None
        async with asyncio.timeout(20):
            while b"target_unavailable" not in await child.stderr.readline():
                pass
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await child.wait() == 0
    assert content(directory).keys() == {"a.jsonl"}
    async with serving(settings, intake) as url:
        status, printed = await once(directory, url, "--api-key", "wrong")
        assert (status, "answers 401" in printed) == (1, True)
        assert content(directory).keys() == {"a.jsonl"}
        assert (await once(directory, url, "--api-key", "t" * 20))[0] == 0
    assert content(directory).keys() == {"done/a.jsonl"}


async def test_one_watcher_a_directory(directory: Path, url: str) -> None:
    """A second one, and a directory that cannot be written, end with a sentence that says why."""
    async with running(directory, url) as child:
        await eventually((directory / "done").exists)
        await asyncio.sleep(0.2)
        status, printed = await once(directory, url)
        assert (status, printed) == (1, f"error: {directory}: process {child.pid} watches this directory already\n")
    (directory / "failed").rmdir()
    (directory / "failed").write_text("")
    status, printed = await once(directory, url)
    assert (status, printed) == (1, f"error: {directory}/failed: File exists\n")


async def test_a_file_that_cannot_be_moved(directory: Path, url: str, kafka: Kafka, name: str) -> None:
    """It stays and the others are handled; it is no success."""
    write(directory / "a/x.jsonl", name, "stays")
    write(directory / "b.jsonl", name, "moves")
    (directory / "done").mkdir()
    (directory / "done/a").write_text("in the way")
    assert (await once(directory, url))[0] == 1
    assert content(directory).keys() == {"a/x.jsonl", "done/a", "done/b.jsonl"}
    assert await texts(kafka, name) == ["moves", "stays"]
