"""Pushes of NDJSON of any length: read, checked and written in slices while the body arrives, in constant memory."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Final

from starlette.requests import ClientDisconnect, Request

from ingest.budget import Claim, Exhausted
from ingest.producer import REFUSED, Intake, PreparedRecord, TooLarge, Unavailable
from ingest.refusal import CLOSE, LATER, MAYBE_ACCEPTED, NOTHING_ACCEPTED, Refusal, refuse
from ingest.results import Results
from services import request_body
from services.blocking import run_in_thread
from services.decompression import Corrupt, decompressor
from services.events import ArticleIn
from services.parsing import InvalidArticle, articles

# The most bytes that are written at one time, unless a single line is longer.
SLICE_BYTES: Final = 1_000_000
#: Reading so many bytes, not compressed, takes less time than starting a thread.
SMALL_BYTES: Final = 16_384
# Compressed, so many bytes are taken at one time.
_PACKED_BYTES: Final = 256 * 1024
# The memory of a zstd decompressor besides that.
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
# What has arrived is written after so many seconds at the latest, when more arrives.
_SLICE_SECONDS: Final = 1.0
_BOM: Final = b"\xef\xbb\xbf"

Check = Callable[[ArticleIn], InvalidArticle | None]
"""Why an article may not be pushed by this client, or None."""


def prepare(article: ArticleIn | InvalidArticle, intake: Intake, check: Check) -> PreparedRecord | InvalidArticle:
    """The record of an article, or why it is rejected."""
    if isinstance(article, InvalidArticle):
        return article
    try:
        return check(article) or intake.prepare(article)
    except TooLarge as error:
        return InvalidArticle(error.cause, error.field)


@dataclass
class Slice:
    """Consecutive articles of a body: those to be written, and those rejected, each with its index in the body.

    ``size``: the bytes of their lines.
    """

    start: int
    size: int
    prepared: list[tuple[int, PreparedRecord]] = field(default_factory=list)
    rejected: list[tuple[int, InvalidArticle]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prepared) + len(self.rejected)


class LineReader:
    """Cuts a body into slices of lines. Its memory is that of two slices, or of the longest line.

    ``slice_bytes``: the length of a slice, unless a single line is longer. ``most``: the maximum number of its lines.
    ``longest``: the maximum length of a line, in bytes.
    """

    def __init__(self, encoding: str, intake: Intake, check: Check, *, most: int, longest: int) -> None:
        self._decompressor = decompressor(encoding, None)
        self._pieces: Iterator[bytes] = iter(())
        self._intake = intake
        self._check = check
        self._most = most
        self._longest = longest
        # A push holds a few slices, and its client may hold two of the longest lines.
        self.slice_bytes = min(SLICE_BYTES, longest // 4)
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self._index = 0
        self._began = True

    @property
    def held(self) -> int:
        """The bytes that wait for the rest of their line, or for their turn."""
        return len(self._buffer)

    @property
    def in_line(self) -> bool:
        """Whether the end of a line has not arrived."""
        return bool(self._buffer) or self._skipping

    def add(self, chunk: bytes) -> None:
        """Take a part of the body, as it was sent."""
        self._pieces = chain(self._pieces, self._decompressor.pieces(chunk))

    def next(self, *, end: bool = False) -> Slice | None:
        """The next lines that are complete, possibly none of them an article; None when the body has to go on first.

        ``end``: the body is complete. One call takes a bounded time. Raises ``Corrupt``.
        """
        lines = self._cut()
        if lines is None:
            arrived = self._unpack()
            lines = self._cut()
            if lines is None and not arrived:
                if not end:
                    return None
                self._decompressor.finish()
                if not self._buffer:
                    return None
                lines = self._take(len(self._buffer))
        return Slice(self._index, 0) if lines is None else self._read(lines)

    def _unpack(self) -> bool:
        """Decompress about a slice; return whether there was anything left."""
        before = len(self._buffer)
        for piece in self._pieces:
            self._buffer += piece
            if len(self._buffer) - before >= self.slice_bytes:
                break
        return len(self._buffer) > before

    def _cut(self) -> bytes | None:
        """The next complete lines, those of a slice or a longer one; None when there is none.

        Of a line that is too long, it returns the first part and drops the rest.
        """
        buffer = self._buffer
        if self._skipping:
            last = buffer.find(b"\n")
            self._skipping = last < 0
            del buffer[: len(buffer) if self._skipping else last + 1]
        if (last := buffer.rfind(b"\n", self._searched, self.slice_bytes)) >= 0:
            return self._take(self._few(last + 1))
        if (last := buffer.find(b"\n", max(self._searched, self.slice_bytes - 1), self._longest + 1)) >= 0:
            return self._take(last + 1)
        self._searched = len(buffer)
        if len(buffer) <= self._longest:
            return None
        self._skipping = True
        return self._take(self._longest + 1)

    def _few(self, end: int) -> int:
        """The end of the lines before ``end``, of the first ``most`` of them."""
        if self._buffer.count(b"\n", 0, end) <= self._most:
            return end
        at = 0
        for _ in range(self._most):
            at = self._buffer.index(b"\n", at) + 1
        return at

    def _take(self, size: int) -> bytes:
        body = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._searched = 0
        return body

    def _read(self, body: bytes) -> Slice:
        """Parse and check lines."""
        found = Slice(self._index, len(body))
        if self._skipping:  # its first part
            cause = f"the line has more than {self._longest} bytes"
            found.rejected.append((self._index, InvalidArticle(cause, too_long=True)))
            self._index += 1
            return found
        if self._began:
            self._began = False
            body = body.removeprefix(_BOM)
        for index, article in articles(body, lines=True, most=self._most):
            record = prepare(article, self._intake, self._check)
            if isinstance(record, InvalidArticle):
                found.rejected.append((self._index + index, record))
            else:
                found.prepared.append((self._index + index, record))
        self._index += len(found)
        return found


class LongPush:
    """One push: while a slice is being written, the next one is received and parsed.

    ``turn`` is held while a slice is parsed. ``first_rejected``: its index and the cause.
    """

    def __init__(  # noqa: PLR0913
        self,
        reader: LineReader,
        results: Results,
        claim: Claim,
        intake: Intake,
        turn: asyncio.Lock,
        *,
        encoding: str,
    ) -> None:
        self._reader = reader
        self._results = results
        self._claim = claim
        self._intake = intake
        self._turn = turn
        self._block = reader.slice_bytes if encoding == "identity" else min(_PACKED_BYTES, reader.slice_bytes)
        self._window = _ZSTD_WINDOW if encoding == "zstd" else 0
        self._packed = encoding != "identity"
        self._writing: asyncio.Task[dict[int, str]] | None = None
        self._slice = Slice(0, 0)
        self._blocks = 0
        self.first_rejected: tuple[int, InvalidArticle] | None = None

    async def accept(self, request: Request) -> None:
        """Write the articles to Kafka as they arrive; return when all are acknowledged and in the results.

        Raises ``Refusal``, whose detail says how many articles had been accepted; ``Exhausted`` when none had been;
        ``ClientDisconnect``.
        """
        try:
            await self._run(request)
        except Refusal as refusal:
            if self._results.accepted:
                detail = f"{refusal.problem.detail}; {self._accepted()}"
                raise Refusal(refusal.problem.model_copy(update={"detail": detail}), refusal.headers) from None
            raise
        except Exhausted as error:
            if not self._results.accepted:
                raise
            refuse(error.status, f"{error}; {self._accepted()}", headers={**CLOSE, "Retry-After": "1"})

    async def _run(self, request: Request) -> None:
        try:
            await self._receive(request_body.LongBody(request.stream()))
        except request_body.TooSlow as error:
            await self._settle()
            refuse(408, str(error), headers=CLOSE)
        except Corrupt as error:
            await self._settle()
            refuse(400, str(error), headers=CLOSE)
        except (Exhausted, ClientDisconnect):
            await self._settle()
            raise
        except asyncio.CancelledError:
            # A request is cancelled only when the service stops.
            if self._writing is not None:
                self._writing.cancel()
            refuse(503, f"{MAYBE_ACCEPTED}: the service stopped before Kafka acknowledged", headers=LATER)

    def _accepted(self) -> str:
        lines = self._results.accepted + self._results.rejected
        return (
            f"of the first {lines} articles {self._results.accepted} were accepted and the others rejected; "
            "sending all of them again is safe"
        )

    async def _receive(self, body: request_body.LongBody) -> None:
        block = bytearray()
        line_began = body.waited
        now = asyncio.get_running_loop().time
        started = now()
        async for chunk in body:
            if self._reader.held > 2 * self._reader.slice_bytes:
                await self._settle()  # a long line: not two of them at one time
            self._hold(len(block) + len(chunk))
            block += chunk
            if len(block) < self._block and now() - started < _SLICE_SECONDS:
                continue
            if await self._handle(bytes(block)) or not self._reader.in_line:
                line_began = body.waited
            elif body.waited - line_began > request_body.MAX_SECONDS:
                raise request_body.TooSlow("the end of each line")
            block.clear()
            started = now()
        await self._handle(bytes(block), end=True)
        await self._settle()

    def _hold(self, arriving: int = 0) -> None:
        # Only a body of several blocks keeps a window of earlier text for long.
        window = self._window if self._blocks else 0
        self._claim.hold(arriving + self._reader.held + self._slice.size + window)

    async def _handle(self, block: bytes, *, end: bool = False) -> bool:
        """Parse a block and write what is complete; return whether a line was."""
        any_line = False
        small = not self._packed and self._reader.held + len(block) <= SMALL_BYTES
        self._reader.add(block)
        while True:
            async with self._turn:
                read = partial(self._reader.next, end=end)
                found = read() if small else await run_in_thread(read, name="push")
            if found is None:
                break
            any_line = any_line or bool(found.size)
            self._hold(found.size)
            if len(found):
                await self._settle()
                self._slice = found
                if found.prepared:
                    records = [record for _, record in found.prepared]
                    self._writing = asyncio.create_task(self._intake.write(records, way="push"))
        self._blocks += 1
        return any_line

    async def _settle(self) -> None:
        """Wait until the last slice is written, and add it to the results."""
        written, self._slice = self._slice, Slice(0, 0)
        refused: dict[int, str] = {}
        if self._writing is not None:
            try:
                refused = await self._writing
            except Unavailable as error:
                maybe = error.sent or self._results.accepted
                refuse(503, f"{MAYBE_ACCEPTED if maybe else NOTHING_ACCEPTED}: {error}", headers=LATER)
            finally:
                self._writing = None
        ids: list[str | None] = [None] * len(written)
        for place, (index, record) in enumerate(written.prepared):
            if place not in refused:
                ids[index - written.start] = record.id
        by_kafka = [(written.prepared[place][0], InvalidArticle(cause, "text")) for place, cause in refused.items()]
        rejected = sorted(written.rejected + by_kafka, key=lambda one: one[0])
        REFUSED.labels("push").inc(len(rejected))
        self.first_rejected = self.first_rejected or next(iter(rejected), None)
        try:
            self._results.add(ids, rejected)
        except Exhausted as error:
            cause = "the results of this push take too much space; send fewer articles at a time"
            refuse(413 if error.client else error.status, cause, headers=CLOSE)
        except OSError as error:
            refuse(503, f"{MAYBE_ACCEPTED}: the results cannot be stored: {error.strerror}", headers=LATER)
