"""The commands ``khabar feeds …``: subscriptions of a running Khabar, and ``check``, which needs none."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from services import options, terminal
from services import settings as settings_module
from services.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PAGE: Final = 500
_STDIN: Final = "-"


@click.group(cls=options.Group)
def feeds() -> None:
    """Feeds that Khabar polls: add, list, check, import."""


def _gateway(command: _Command) -> _Command:
    """Add the options of a command that asks a running Khabar."""
    command = options.data_dir(command)
    command = click.option("--api-key", help="API key of the gateway (KHABAR_API_KEY).")(command)
    return click.option("--to", "url", help="Address of the gateway; default: the running one.")(command)


def _settings_of_a_feed(command: _Command) -> _Command:
    """Add the options that set what a user chooses of a feed."""
    for option in (
        click.option("--name", help="Source of its articles; default: its host name."),
        click.option("--language", help="Language of its articles, a hint; default: as the feed says."),
        click.option("--interval", type=click.FloatRange(10), help="Seconds between polls; default: as it changes."),
        click.option("--header", multiple=True, metavar="'NAME: VALUE'|@FILE", help="Header of requests; repeatable."),
        click.option("--user", help="User name; the password is asked for, or read from stdin."),
        click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="File of the password."),
        click.option("--full-text/--no-full-text", default=None, help="Fetch the pages of entries with a summary."),
    ):
        command = option(command)
    return command


@feeds.command()
@click.argument("address", metavar="URL|SITE")
@_settings_of_a_feed
@click.option("--all", "every", is_flag=True, help="Add all feeds of the site.")
@click.option("--no-check", is_flag=True, help="Add the URL as it is, without requesting it.")
@_gateway
def add(  # noqa: PLR0913 - one parameter an option
    *,
    address: str,
    every: bool,
    no_check: bool,
    url: str | None,
    api_key: str | None,
    data_dir: Path | None,
    **given: Any,
) -> None:
    """Add a feed, by its URL or by that of a site that has feeds.

    If the site has several, choose from them; without a terminal they are listed, and the exit status is 1.
    """
    asking = _Asking(url, api_key, data_dir)
    wanted = {name: value for name, value in _chosen(given).items() if value is not None}
    refusal = _add(asking, {"url": address, "discover": not no_check, **wanted})
    if refusal is None:
        return
    candidates = refusal.get("feeds") or []
    if not candidates:
        _refuse(refusal)
    chosen = candidates if every else _choose(candidates)
    refusals = [_add(asking, {**wanted, "url": one["url"], "discover": True}) for one in chosen]
    wrong = [one for one in refusals if one is not None]
    for one in wrong:
        click.echo(f"error: {terminal.plain(one['detail'])}", err=True)
    if wrong:
        sys.exit(1)


def _add(asking: "_Asking", body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Add a feed and report it; a refusal that is not final is returned: its problem document."""
    from ingest.feeds.gateway import Refusal

    try:
        added = asking("POST", "/v1/feeds", body=body)
    except Refusal as refusal:
        if refusal.code == "already_there":
            click.echo(f"known already: {terminal.plain(str(body['url']))}")
            return None
        return {**refusal.problem, "detail": str(refusal)}
    click.echo(f"added: {terminal.plain(added['url'])}")
    return None


def _choose(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the feeds that the user wants. Ends the command without a terminal."""
    from ingest.feeds import shown
    from services.subscriptions import FoundFeed

    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    click.echo(f"the page has {len(candidates)} feeds:", err=True)
    for line in shown.found([FoundFeed.model_validate(one) for one in candidates]):
        click.echo(line, err=True)
    if not interactive:
        raise click.ClickException("add one of them by its address, or all of them with --all")
    while True:
        answer = click.prompt("which ones? numbers, or all", default="1", err=True).replace(",", " ").split()
        if [word.lower() for word in answer] == ["all"]:
            return candidates
        if all(word.isdecimal() and 1 <= int(word) <= len(candidates) for word in answer):
            return [candidates[number - 1] for number in sorted({int(word) for word in answer})]
        click.echo(f"numbers from 1 to {len(candidates)}, separated by commas, or all", err=True)


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_settings_of_a_feed
@_gateway
def change(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None, **given: Any) -> None:
    """Change the settings of a feed; an empty value sets one back to its default."""
    asking = _Asking(url, api_key, data_dir)
    changes = {name: None if value == "" else value for name, value in _chosen(given).items() if value is not None}
    if not changes:
        raise click.UsageError("name what to change: --name, --language, --interval, --header, --user, --full-text")
    asking.one("PATCH", feed, body=changes)
    click.echo("changed")


@feeds.command("list")
@click.option("--status", type=click.Choice(["new", "ok", "failing", "gone", "paused"]), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_gateway
def list_feeds(
    *, status: str | None, as_json: bool, url: str | None, api_key: str | None, data_dir: Path | None
) -> None:
    """All feeds with their state: last success, error, next poll, articles a day."""
    from ingest.feeds import shown

    asking = _Asking(url, api_key, data_dir)
    found: list[dict[str, Any]] = []
    while True:
        query = {"offset": str(len(found)), "limit": str(_PAGE)} | ({"status": status} if status else {})
        page = asking("GET", "/v1/feeds", query=query)
        found += page["feeds"]
        if not page["feeds"] or len(found) >= page["total"]:
            break
    if as_json:
        for feed in found:
            click.echo(terminal.as_json(feed))
        return
    if found:
        for line in shown.feeds(found):
            click.echo(line)
    click.echo(shown.totals(page["counts"]), err=True)


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_gateway
def show(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """One feed and its state as JSON."""
    click.echo(terminal.as_json(_Asking(url, api_key, data_dir).find(feed), indent=2))


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_gateway
def remove(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """Remove a feed. Its articles stay."""
    _Asking(url, api_key, data_dir).one("DELETE", feed)
    click.echo("removed")


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_gateway
def poll(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """Poll a feed now, also one that has ended."""
    _Asking(url, api_key, data_dir).one("POST", feed, "/poll")
    click.echo("it is polled now")


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_gateway
def pause(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """Do not poll a feed until it is resumed."""
    _Asking(url, api_key, data_dir).one("PATCH", feed, body={"paused": True})
    click.echo("paused")


@feeds.command()
@click.argument("feed", metavar="URL|ID")
@_gateway
def resume(*, feed: str, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """Poll a paused feed again, or one that has ended."""
    _Asking(url, api_key, data_dir).one("PATCH", feed, body={"paused": False})
    click.echo("resumed")


@feeds.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--names", is_flag=True, help="A feed's name in the list becomes the source of its articles.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@_gateway
def import_list(  # noqa: PLR0913 - one parameter an option
    *, file: Path, names: bool, as_json: bool, url: str | None, api_key: str | None, data_dir: Path | None
) -> None:
    """Add all feeds of an OPML file, or of a text file with one URL a line; - reads stdin.

    Feeds that are there already stay as they are. The exit status is 1 when one of the list is not valid.
    """
    from ingest.feeds import shown

    data = sys.stdin.buffer.read() if str(file) == _STDIN else file.read_bytes()
    asking = _Asking(url, api_key, data_dir)
    query = {"names": "true"} if names else None
    try:
        result = asking("POST", "/v1/feeds/import", body=data, query=query)
    except asking.refusal as refusal:
        _refuse(refusal.problem)
    if as_json:
        click.echo(terminal.as_json(result))
    else:
        for line in shown.imported(result):
            click.echo(line)
    if result["invalid"]:
        sys.exit(1)


@feeds.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: stdout.")
@_gateway
def export(*, out: Path | None, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
    """All feeds as OPML, without passwords and headers."""
    content = _Asking(url, api_key, data_dir).raw("GET", "/v1/feeds.opml")
    if out is None:
        click.get_binary_stream("stdout").write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"--out: {out} cannot be written: {error.strerror or error}") from error


@feeds.command()
@click.argument("targets", metavar="URL|SITE|FILE...", nargs=-1, required=True)
@click.option("--entries", type=click.IntRange(0, 1_000), default=5, show_default=True, help="Entries to show.")
@click.option("--header", multiple=True, metavar="'NAME: VALUE'|@FILE", help="Header of the request; repeatable.")
@click.option("--user", help="User name; the password is asked for, or read from stdin.")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="File of the password.")
@click.option("--base", metavar="URL", help="Address that a file is from, for its relative links.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def check(  # noqa: PLR0913 - one parameter an option
    *,
    targets: tuple[str, ...],
    entries: int,
    header: tuple[str, ...],
    user: str | None,
    password_file: Path | None,
    base: str | None,
    as_json: bool,
) -> None:
    """What a feed has: format, encoding, what each field came from, what is wrong, the first entries as articles.

    Needs no running Khabar; - reads a document from stdin. The exit status is 1 when one of them is not a feed.
    """
    from ingest.feeds import shown

    settings = settings_module.load()
    login = {"headers": _headers(header), "user": user, "password": _password(user, password_file)}
    wrong = False
    for number, target in enumerate(targets):
        checked = _check(target, settings, login, base, entries)
        wrong = wrong or checked.error is not None
        if as_json:
            click.echo(terminal.as_json(checked.model_dump(mode="json")))
            continue
        if number:
            click.echo("")
        for line in shown.check(checked):
            click.echo(line)
    if wrong:
        sys.exit(1)


def _check(target: str, settings: Settings, login: dict[str, Any], base: str | None, entries: int) -> Any:
    from ingest.feeds import check as checking
    from ingest.web import Access, WebClient
    from services.decompression import Corrupt, Oversized, unpack

    path = Path(target)
    if target == _STDIN or path.is_file():
        most = settings.max_feed_bytes
        try:
            data = sys.stdin.buffer.read(most + 1) if target == _STDIN else path.read_bytes()
            data = unpack(data, "", most)
        except (Oversized, Corrupt) as error:
            cause = f"larger than {most} bytes (KHABAR_MAX_FEED_BYTES)" if isinstance(error, Oversized) else error
            raise click.ClickException(f"{target}: {cause}") from error
        except OSError as error:
            raise click.ClickException(f"{target} cannot be read: {error.strerror or error}") from error
        return checking.check_document(data, name=target, url=base, entries=entries)

    async def request() -> Any:
        access = Access(user=login["user"], password=login["password"], headers=login["headers"] or {})
        async with WebClient.of(settings) as web:
            return await checking.check(target, web, access=access, max_bytes=settings.max_feed_bytes, entries=entries)

    return asyncio.run(request())


class _Asking:
    """Requests to the gateway that the options of a command name. A refusal ends the command."""

    def __init__(self, url: str | None, api_key: str | None, data_dir: Path | None) -> None:
        from ingest.feeds import gateway

        self.refusal = gateway.Refusal
        self._gateway = gateway
        settings = settings_module.load_running(data_dir)
        self._url = url or settings.gateway_url
        if "://" not in self._url:
            self._url = f"http://{self._url}"
        self._key = api_key or settings.api_key

    def __call__(self, method: str, path: str, **request: Any) -> Any:
        """The answer in JSON. Raises ``Refusal``."""
        return asyncio.run(self._gateway.ask_json(self._url, self._key, method, path, **request))

    def raw(self, method: str, path: str, **request: Any) -> bytes:
        """The answer as it is; a refusal ends the command."""
        try:
            return asyncio.run(self._gateway.ask(self._url, self._key, method, path, **request))
        except self.refusal as refusal:
            _refuse({**refusal.problem, "detail": str(refusal)})

    def find(self, feed: str) -> dict[str, Any]:
        """The feed with this URL or id."""
        try:
            if "/" not in feed and "." not in feed:
                found: dict[str, Any] = self("GET", f"/v1/feeds/{feed}")
                return found
            page = self("GET", "/v1/feeds", query={"url": feed if "://" in feed else f"https://{feed}"})
        except self.refusal as refusal:
            _refuse({**refusal.problem, "detail": str(refusal)})
        if not page["feeds"]:
            raise click.ClickException(f"there is no feed {terminal.plain(feed)}; khabar feeds list shows all")
        return dict(page["feeds"][0])

    def one(self, method: str, feed: str, path: str = "", **request: Any) -> None:
        """Send a request about the feed with this URL or id; a refusal ends the command."""
        self.raw(method, f"/v1/feeds/{self.find(feed)['id']}{path}", **request)


def _refuse(problem: Mapping[str, Any]) -> NoReturn:
    raise click.ClickException(terminal.plain(str(problem.get("detail", "the gateway has refused the request"))))


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a feed that options name, as members of a request."""
    return {
        "source": given["name"],
        "language": given["language"],
        "interval": given["interval"],
        "headers": _headers(given["header"]),
        "user": given["user"],
        "password": _password(given["user"], given["password_file"]),
        "full_text": given["full_text"],
    }


def _headers(given: tuple[str, ...]) -> dict[str, str] | None:
    """Headers from options: each is one, or ``@FILE`` with one a line."""
    lines: list[str] = []
    for one in given:
        lines += _lines(Path(one[1:]), "--header") if one.startswith("@") else [one]
    headers = {}
    for line in filter(str.strip, lines):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError("--header: write 'NAME: VALUE', or @FILE with one a line")
        headers[name.strip()] = value.strip()
    return headers or None


def _password(user: str | None, file: Path | None) -> str | None:
    """The password of a user: from the file, or asked for, or the first line of stdin."""
    if file is not None:
        if not user:
            raise click.UsageError("--password-file: needs --user")
        return (_lines(file, "--password-file") or [""])[0]
    if not user:
        return "" if user == "" else None
    if sys.stdin.isatty():
        password: str = click.prompt(f"password of {user}", hide_input=True, err=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _lines(file: Path, option: str) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{option}: {file} cannot be read: {error}") from error
