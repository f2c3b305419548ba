"""Parsers in child processes: limits, restarts, and what remains of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from services import child_parser
from services.child_parser import MEGABYTE, ChildParser, ParserFailed


@pytest.fixture
def parser() -> Iterator[ChildParser]:
    """One child that does what it gets."""
    made = ChildParser("tests.services.parsers:scripted", memory=512 * MEGABYTE)
    yield made
    made.close()


def parse(parser: ChildParser, command: str, cpu_seconds: float = 5.0) -> bytes:
    """Run a command in the child."""
    return parser.parse(command.encode(), cpu_seconds=cpu_seconds)


def ends(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_bytes_go_in_and_come_out(size: int) -> None:
    """Data of any size arrives unchanged, also what is larger than a socket's buffer."""
    parser = ChildParser("tests.services.parsers:echo", memory=512 * MEGABYTE)
    data = os.urandom(size)
    assert parser.parse(data, cpu_seconds=5) == data
    parser.close()


def test_a_parser_without_end_is_ended(parser: ChildParser) -> None:
    """A parser that computes for ever is ended after its CPU time, and the next call works without a new import."""
    child = parse(parser, "pid")
    began = time.monotonic()
    with pytest.raises(ParserFailed, match=r"4 bytes took more than 0\.3 s of CPU time") as failed:
        parse(parser, "spin", cpu_seconds=0.3)
    assert failed.value.cause == "slow"
    assert time.monotonic() - began < 6
    assert parse(parser, "pid") == child


def test_a_parser_that_waits_is_ended(parser: ChildParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that takes no CPU time is ended, too."""
    monkeypatch.setattr(child_parser, "_WALL_EXTRA", 0.2)
    with pytest.raises(ParserFailed, match=r"took more than 0\.7 s") as failed:
        parse(parser, "sleep", cpu_seconds=0.1)
    assert failed.value.cause == "slow"
    assert parse(parser, "print") == b"printed"


def test_a_stopped_child_is_replaced(parser: ChildParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that cannot even end itself is killed by its parent, and another one does the work."""
    monkeypatch.setattr(child_parser, "_WALL_EXTRA", 0.2)
    monkeypatch.setattr(child_parser, "_GRACE", 0.2)
    child = int(parse(parser, "pid"))
    for process in (psutil.Process(child), *psutil.Process(child).children()):
        process.suspend()
    assert int(parse(parser, "pid", cpu_seconds=0.1)) != child
    assert ends(child)


@pytest.mark.parametrize(
    ("command", "cause", "message"),
    [
        ("fail", "error", "no such document"),
        ("exhaust", "error", "MemoryError"),
        ("large 70000000", "error", "the result has 70000000 bytes"),
        ("die", "died", "ended"),
    ],
)
def test_failures_are_reported_and_the_next_call_works(
    parser: ChildParser, command: str, cause: str, message: str
) -> None:
    """An exception, too much memory, too long a result and a crash are errors of that call alone."""
    with pytest.raises(ParserFailed, match=message) as failed:
        parse(parser, command)
    assert failed.value.cause == cause
    assert parse(parser, "print") == b"printed"


def test_a_child_killed_by_somebody_else_costs_no_call(parser: ChildParser) -> None:
    """When a child was killed between two calls or in one, the call is made again with another child."""
    child = int(parse(parser, "pid"))
    os.killpg(child, signal.SIGKILL)
    assert ends(child)
    second = int(parse(parser, "pid"))
    assert second != child
    (serving,) = psutil.Process(second).children()
    threading.Timer(0.2, serving.kill).start()
    with pytest.raises(ParserFailed, match=r"0\.6 s of CPU time"):
        parse(parser, "spin", cpu_seconds=0.6)
    assert int(parse(parser, "pid")) != second


def test_a_parser_that_cannot_be_imported_is_an_error() -> None:
    """A missing module is an error of the call, not a wait without end."""
    with pytest.raises(ParserFailed) as failed:
        ChildParser("tests.services.no_such_module:parse", memory=512 * MEGABYTE).parse(b"", cpu_seconds=1)
    assert failed.value.cause == "died"


def test_calls_at_the_same_time_share_the_children() -> None:
    """Four threads with two children: each gets its own result."""
    parser = ChildParser("tests.services.parsers:echo", memory=512 * MEGABYTE, children=2)
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        for _ in range(20):
            results[number] = parser.parse(b"%d" % number * 50_000, cpu_seconds=5)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: b"%d" % number * 50_000 for number in range(4)}
    assert len(parser._idle) == 2
    parser.close()


def test_secrets_are_not_in_the_environment(parser: ChildParser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser does not see Khabar's settings."""
    monkeypatch.setenv("KHABAR_API_KEYS", "secret")
    assert b"PATH" in parse(parser, "environment")
    assert b"KHABAR" not in parse(parser, "environment")


def test_children_end_with_their_parent() -> None:
    """When the parent is killed, an idle child ends at once and a busy one with its call."""
    program = (
        "import threading, time\n"
        "from services.child_parser import ChildParser\n"
        "parser = ChildParser('tests.services.parsers:scripted', memory=1 << 29, children=2)\n"
        "print(parser.parse(b'pid', cpu_seconds=1).decode(), flush=True)\n"
        "threading.Thread(target=parser.parse, args=(b'spin',), kwargs={'cpu_seconds': 1.0}).start()\n"
        "print(parser.parse(b'pid', cpu_seconds=1).decode(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = {int(parent.stdout.readline()) for _ in range(2)}
        parent.kill()
    assert len(children) == 2
    assert all(map(ends, children))
