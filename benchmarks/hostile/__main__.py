"""The command line of the benchmark; the package's docstring describes it."""

import argparse
import asyncio
import os
import sys

import uvloop

import benchmarks.hostile
from benchmarks.hostile import articles, gateway, streams, whole, work
from benchmarks.hostile.client import Address, Attack, Outcomes
from benchmarks.receivers import prepare, report

ALONE: dict[str, Attack] = streams.ATTACKS | work.ATTACKS
_ALL: dict[str, Attack] = ALONE | articles.ATTACKS | {"spins": streams.spins}
_OTHERS = 200
_SETTLE_SECONDS = 4.0


async def _attack(kind: str, address: Address) -> None:
    """Start, and report it; at a line from stdin stop, and report the outcomes."""
    outcomes = Outcomes()
    task = asyncio.create_task(_ALL[kind](outcomes, address))
    report(started=kind)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    report(outcomes=outcomes, failed=f"; ended early: {task.exception()!r}" if task.done() else "")


def main() -> None:
    """Measure and print; the exit status is 1 when a kind fails."""
    parser = argparse.ArgumentParser(
        description=benchmarks.hostile.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=45.0, help="per kind")
    parser.add_argument("--settle", type=float, default=_SETTLE_SECONDS, help="seconds before and after each kind")
    parser.add_argument("--others", type=int, default=_OTHERS, help="well-behaved subscribers")
    parser.add_argument("--whole", action="store_true", help="measure a whole Khabar instead of a gateway")
    parser.add_argument("--only", nargs="+", choices=[kind for kind in _ALL if kind != "spins"])
    parser.add_argument("--no-limits", action="store_true", help="exit with 0 also when a kind is above the limits")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--at", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    prepare()
    if given.attack:
        os.nice(19)
        uvloop.run(_attack(given.attack, (given.at[0], int(given.at[1]))))
        return
    if given.whole:
        chosen = [kind for kind in articles.ATTACKS if given.only is None or kind in given.only]
        failed = asyncio.run(whole.run(chosen, seconds=given.seconds, settle=given.settle))
    else:
        chosen = [kind for kind in ALONE if given.only is None or kind in given.only]
        failed = gateway.run(chosen, clients=given.others, seconds=given.seconds, settle=given.settle)
    if failed:
        message = f"above the limits: {', '.join(failed)}"
        if given.no_limits:
            print(message)
        else:
            sys.exit(message)


if __name__ == "__main__":
    main()
