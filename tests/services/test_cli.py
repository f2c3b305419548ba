"""The command line: help, suggestions, errors in one sentence."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services import telemetry
from services.embedded.process import free_port
from services.progress import counted


def khabar(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without settings and without a running instance."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KHABAR_")}
    clean |= {"XDG_RUNTIME_DIR": str(cwd)} | environment
    command = [sys.executable, "-P", "-m", "services", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", [(), ("up",), ("replay",), ("dead-letters", "list"), ("keys", "new")])
def test_help_has_a_short_option(command: tuple[str, ...], tmp_path: Path) -> None:
    """``-h`` works wherever ``--help`` does."""
    short, long = khabar(*command, "-h", cwd=tmp_path), khabar(*command, "--help", cwd=tmp_path)
    assert short.returncode == long.returncode == 0
    assert short.stdout == long.stdout
    assert "-h, --help" in short.stdout


def test_help_documents_completion_and_settings(tmp_path: Path) -> None:
    """Each shell's line, and every setting; completion itself works for the commands of all packages."""
    shown = khabar("--help", cwd=tmp_path).stdout
    assert all(f"_KHABAR_COMPLETE={shell}_source" in shown for shell in ("bash", "zsh", "fish"))
    assert "KHABAR_LOG_LEVEL" in shown


@pytest.mark.parametrize(
    ("command", "suggestion"),
    [
        (("statsu",), "status"),
        (("repaly", "x"), "replay"),
        (("dead-letter", "list"), "dead-letters"),
        (("dead-letters", "lst"), "list"),
        (("keys", "nwe"), "new"),
        (("rebuild", "aggregate"), "aggregates"),
        (("watch", "--langage", "ar"), "--language"),
    ],
)
def test_unknown_commands_and_options_are_answered_with_a_suggestion(
    command: tuple[str, ...], suggestion: str, tmp_path: Path
) -> None:
    """In every group, also for commands that another package brings; exit status 2."""
    result = khabar(*command, cwd=tmp_path)
    assert result.returncode == 2
    assert "Did you mean" in result.stderr and suggestion in result.stderr.splitlines()[-1]


def test_an_unknown_command_like_no_other_is_just_unknown(tmp_path: Path) -> None:
    """No suggestion is better than a wrong one."""
    result = khabar("xyzzy", cwd=tmp_path)
    assert result.returncode == 2
    assert "No such command 'xyzzy'." in result.stderr
    assert "Did you mean" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("dead-letters", "list"),
        ("dead-letters", "retry", "--all"),
    ],
)
def test_without_a_running_instance_one_sentence_says_so(command: tuple[str, ...], tmp_path: Path) -> None:
    """No repr of an exception, no line of a library's log; exit status 1."""
    nowhere = f"127.0.0.1:{free_port()}"
    addresses = {"KHABAR_KAFKA": nowhere, "KHABAR_REDIS": f"redis://{nowhere}/0", "KHABAR_PORT": str(free_port())}
    result = khabar(*command, cwd=tmp_path, **addresses)
    assert result.returncode == 1
    (sentence,) = (result.stdout + result.stderr).splitlines()
    assert sentence.removeprefix("error: ").startswith("no Khabar is running here: ")
    assert "Error" not in sentence and "[" not in sentence


def test_explain_and_rebuild_name_what_does_not_answer(tmp_path: Path) -> None:
    """One sentence with the address, for both."""
    nowhere = f"127.0.0.1:{free_port()}"
    for command in (("explain", "a", "b"), ("rebuild", "aggregates")):
        result = khabar(*command, cwd=tmp_path, KHABAR_KAFKA=nowhere, KHABAR_REDIS=f"redis://{nowhere}/0")
        assert result.returncode == 1
        (sentence,) = result.stderr.splitlines()
        assert sentence.endswith("no answer")
        assert "AddressFamily" not in sentence


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"KHABAR_LOG_LEVEL": "loud"}, "must be 'debug', 'info', 'warning' or 'error'"),
        ({"KHABAR_LOG_FORMAT": "xml"}, "must be 'text' or 'json'"),
        ({"KHABAR_NER": "best"}, "must be 'default', 'quality' or 'camel'"),
    ],
)
def test_a_wrong_value_is_answered_with_the_valid_ones(setting: dict[str, str], words: str, tmp_path: Path) -> None:
    """Not with a regular expression."""
    result = khabar("status", cwd=tmp_path, **setting)
    assert result.returncode == 1
    assert result.stderr == f"error: {next(iter(setting))}: {words}\n"


def test_replay_reports_a_target_that_does_not_answer_at_once(tmp_path: Path) -> None:
    """The first line comes long before it gives up."""
    (tmp_path / "one.jsonl").write_text('{"text": "one"}\n')
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-P", "-m", "services", "replay", "one.jsonl", "--to", address]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        child.terminate()
    assert line == f"{address} does not take articles: Connection refused; retrying for up to 60 s\n"


def test_the_demo_on_a_taken_port_says_how_to_choose_another(tmp_path: Path) -> None:
    """In the words of make, by which most start it; nothing is left of its data directory."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = khabar("up", "--demo", "--port", str(port), cwd=tmp_path, TMPDIR=str(tmp_path))
    assert result.returncode == 1
    hint = 'choose another with --port (make demo ARGS="--port N")'
    assert result.stderr == f"error: port {port} is taken: stop what uses it, or {hint}\n"
    assert not list(tmp_path.glob("khabar-demo-*"))


@pytest.mark.parametrize(
    ("environment", "colors"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_switched_off(
    environment: dict[str, str], colors: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the variable of no-color.org, and by a terminal that has none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert telemetry._colors() is colors
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert telemetry._colors() is False


@pytest.mark.parametrize("total", [3, None])
def test_the_progress_bar_shows_count_and_rate(
    total: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With and without a known end; everything is counted when it closes."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with counted(total, "articles", shown=True) as count:
        for _ in range(3):
            count(1)
    shown = capsys.readouterr()
    assert "articles/s" in shown.err and " 3" in shown.err.replace("3/3", " 3")
    assert not shown.out


def test_the_progress_bar_is_for_terminals_that_redraw_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed where it is not shown, or with TERM=dumb."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for shown, term in ((False, "xterm"), (True, "dumb")):
        monkeypatch.setenv("TERM", term)
        with counted(3, "articles", shown=shown) as count:
            count(3)
    assert capsys.readouterr() == ("", "")
