"""The command line of the benchmark; the package's docstring describes it."""

import click

from benchmarks.ingest import latency, parse, polls, push, site


@click.group(help=__doc__)
def main() -> None:
    """Measure and print."""


for _command in (push.main, push.produce, parse.main, polls.main, latency.main, site.serve):
    main.add_command(_command)

if __name__ == "__main__":
    main()
