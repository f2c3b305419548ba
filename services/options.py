"""What the commands of all packages share: groups that suggest commands, and common options."""

import difflib
from pathlib import Path

import click

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}

data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data directory of a running khabar up; by default the one here (.khabar) or the one started last.",
)

# The names of ``services.documents.file_kinds.Kind``.
input_format = click.option(
    "--format",
    "input_format",
    type=click.Choice(["jsonl", "json", "text", "html", "feed", "warc"]),
    help="What stdin (-) holds; by default its beginning shows it.",
)


class Group(click.Group):
    """A group that suggests commands for an unknown one, as click does for options."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As ``click.Group.resolve_command``."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 3)
            if near and "No such command" in error.message:
                error.message += f" Did you mean {' or '.join(near)}?"
            raise
