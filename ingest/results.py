"""The results of a push of any length: kept in temporary files, and sent as the answer of a short push is."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.budget import FREE_BYTES, BodyBudget
from services.parsing import InvalidArticle

# The length of an id, and what is in its place for an article that was rejected.
_ID: Final = 26
_NO_ID: Final = " " * _ID
_CHUNK: Final = _ID * 2_500
# A client that reads nothing of the answer for so many seconds is disconnected.
_READ_SECONDS: Final = 60.0


class Results:
    """For each line of a push, in order: the id of the article, or why it was rejected.

    Holds its bytes in ``budget`` until ``close``.
    """

    def __init__(self, budget: BodyBudget, client: str) -> None:
        """Raises ``Exhausted``."""
        self.accepted = self.rejected = 0
        self._held = ExitStack()
        self._claim = self._held.enter_context(budget.request(client))
        self._ids = self._file()
        self._causes = self._file()

    def _file(self) -> IO[bytes]:
        return self._held.enter_context(SpooledTemporaryFile(max_size=FREE_BYTES))

    def add(self, ids: Iterable[str | None], rejected: Iterable[tuple[int, InvalidArticle]]) -> None:
        """Add the results of the next lines: an id or None for each, and the cause for each None, in order.

        Raises ``Exhausted`` when there are too many results, and ``OSError``.
        """
        found = "".join(one or _NO_ID for one in ids).encode()
        rows = [json.dumps({"index": index, "error": str(cause)}, ensure_ascii=False) for index, cause in rejected]
        separated = "".join("," + row for row in rows).encode()
        self.accepted += len(found) // _ID - len(rows)
        self.rejected += len(rows)
        self._claim.hold(self._ids.tell() + self._causes.tell() + len(found) + len(separated))
        self._ids.write(found)
        self._causes.write(separated)

    def chunks(self) -> Iterator[bytes]:
        """The results as JSON: that of ``PushResult``."""
        yield b'{"accepted":['
        self._ids.seek(0)
        index = 0
        separator = ""
        while read := self._ids.read(_CHUNK):
            ids = read.decode()
            rows = []
            for at in range(0, len(ids), _ID):
                if ids[at] != " ":
                    rows.append(f'{separator}{{"index":{index},"id":"{ids[at : at + _ID]}"}}')
                    separator = ","
                index += 1
            yield "".join(rows).encode()
        yield b'],"rejected":['
        self._causes.seek(1 if self.rejected else 0)
        while read := self._causes.read(_CHUNK):
            yield read
        yield b"]}"

    def close(self) -> None:
        """Delete the files."""
        self._held.close()


class ResultsResponse(Response):
    """Sends results, and closes them whatever happens."""

    def __init__(self, results: Results, *, status_code: int, media_type: str) -> None:
        super().__init__(status_code=status_code, media_type=media_type)
        del self.headers["content-length"]
        self._results = results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ``Response``, in chunks."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in self._paced():
                async with asyncio.timeout(_READ_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._results.close()

    async def _paced(self) -> AsyncIterator[bytes]:
        for chunk in self._results.chunks():
            yield chunk
            await asyncio.sleep(0)
