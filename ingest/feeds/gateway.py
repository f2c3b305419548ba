"""Requests of ``khabar feeds`` to the gateway of a running Khabar."""

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from services.errors import OperatorError, reason

# Ingest answers within 60 s, also where it requests other people's servers.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=90, sock_connect=10)


class Refusal(Exception):
    """The gateway has refused a request; ``problem``: its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"HTTP status {status}"))
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str | None:
        """What kind of refusal it is."""
        return self.problem.get("code")


async def ask(  # noqa: PLR0913
    gateway: str,
    key: str | None,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | bytes | None = None,
    query: Mapping[str, str] | None = None,
) -> bytes:
    """The body of the answer. Raises ``Refusal``, and ``OperatorError`` when the gateway does not answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/octet-stream" if data is body else "application/json"
    url = f"{gateway.rstrip('/')}{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, data=data, params=query, headers=headers) as response,
        ):
            answer = await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        cause = f"the gateway at {gateway} cannot be reached: {reason(error)}; start Khabar with khabar up"
        raise OperatorError(cause) from error
    if response.status >= 400:
        try:
            problem = json.loads(answer)
        except ValueError:
            problem = {}
        raise Refusal(response.status, problem if isinstance(problem, dict) else {})
    return answer


async def ask_json(gateway: str, key: str | None, method: str, path: str, **request: Any) -> dict[str, Any]:
    """As ``ask``, for an answer in JSON."""
    found: dict[str, Any] = json.loads(await ask(gateway, key, method, path, **request))
    return found
