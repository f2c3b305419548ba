from benchmarks.ingest import push
import click

g = click.Group(commands={"push": push.main, "produce": push.produce})
g()
