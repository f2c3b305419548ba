"""Kafka's jar files: resolved from Maven by jgo, pinned in ``kafka.lock.toml``, checked by sha256.

``python -m services.embedded.jars`` fetches what is missing; with ``--lock`` it writes the lock anew.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.env import LockFile
from jgo.env._lockfile import LockedDependency
from jgo.maven import Artifact, MavenContext

from services.errors import OperatorError
from services.progress import counted

LOCK = Path(__file__).with_name("kafka.lock.toml")

# Kafka logs through SLF4J 1.7 and its own jars bring no binding for it. The "!" keeps the binding's parent
# from managing Kafka's own dependencies (it would bring an older kafka-clients).
WANTED = ("org.apache.kafka:kafka_2.13:4.3.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3!")


class JarsError(OperatorError):
    """Jars could not be had or are not the locked ones; the message says what to do."""


def _artifact(context: MavenContext, locked: LockedDependency) -> Artifact:
    project = context.project(locked.groupId, locked.artifactId)
    return project.at_version(locked.version).artifact(locked.classifier or "", locked.packaging)


def missing() -> int:
    """How many of the locked jars have to be fetched."""
    context = MavenContext(timeout=60)
    paths = [_artifact(context, locked).cached_path for locked in LockFile.load(LOCK).dependencies]
    return sum(path is None or not path.exists() for path in paths)


def install(count: Callable[[int], None] = lambda number: None) -> list[Path]:
    """Paths of all locked jars, fetched where missing, every one checked against the lock.

    ``count`` is called with 1 for each jar. Raises ``JarsError`` when Maven cannot be reached or a jar is not the one
    that was locked.
    """
    context = MavenContext(timeout=60)
    lock = LockFile.load(LOCK)
    paths: list[Path] = []
    try:
        # Small files from one host: the wait is mostly round trips, so several at once.
        with ThreadPoolExecutor(8) as pool:
            for path in pool.map(lambda locked: _artifact(context, locked).resolve(), lock.dependencies):
                paths.append(path)
                count(1)
    except Exception as error:
        raise JarsError(
            f"Kafka's jar files could not be fetched from Maven ({error}): check the network and try again, "
            "or set KHABAR_KAFKA to a running Kafka"
        ) from error
    wrong = lock.verify_checksums(context.repo_cache)
    if wrong:
        raise JarsError(f"a jar file is not the locked one: {wrong[0]}; delete it and try again")
    return paths


def _write_lock() -> None:
    context = MavenContext(timeout=60)
    inputs, transitive = context.resolver.resolve([context.create_dependency(f"{name}") for name in WANTED])
    wanted = [
        *inputs,
        *(dependency for dependency in transitive if dependency.scope in {"compile", "runtime"}),
    ]
    for dependency in wanted:
        dependency.artifact.resolve()
    LockFile.from_resolved_dependencies(wanted, environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    if "--lock" in sys.argv:
        _write_lock()
    try:
        with counted(len(LockFile.load(LOCK).dependencies), "files", shown=sys.stderr.isatty()) as add:
            ready = len(install(add))
        sys.stdout.write(f"{ready} jar files ready\n")
    except JarsError as problem:
        sys.exit(f"error: {problem}")
