"""API keys and their scopes: who may read the stream and who may push articles.

Keys are compared as SHA-256 digests in constant time and are never logged. Without keys everybody may do
everything.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers

from api.problems import ProblemError
from services.errors import SettingsError

Scope = Literal["read", "write"]
_BOTH: frozenset[Scope] = frozenset(("read", "write"))
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="khabar"'}


class Unauthorized(Exception):
    """No key was given, or one that is not known."""


class Forbidden(Exception):
    """The key is known but lacks the scope."""


class Keys:
    """The keys of ``KHABAR_API_KEYS``: ``KEY``, ``KEY:read`` or ``KEY:write``. Raises ``SettingsError``."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._scopes: dict[bytes, frozenset[Scope]] = {}
        for number, entry in enumerate(entries, 1):
            key, colon, name = entry.rpartition(":")
            scopes = _BOTH if not colon else frozenset(scope for scope in _BOTH if scope == name)
            if not scopes or not (key or not colon):
                # The entry itself is a secret.
                raise SettingsError(f"KHABAR_API_KEYS: entry {number} must be KEY, KEY:read or KEY:write")
            digest = _digest((key if colon else entry).encode())
            self._scopes[digest] = self._scopes.get(digest, frozenset()) | scopes

    @property
    def required(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._scopes)

    def check(self, key: bytes | None, scope: Scope) -> None:
        """Return when the key opens the scope. Raises ``Unauthorized`` or ``Forbidden``."""
        if not self._scopes:
            return
        given = _digest(key or b"")
        found: frozenset[Scope] | None = None
        for digest, scopes in self._scopes.items():  # all of them, so that time tells nothing
            if hmac.compare_digest(digest, given):
                found = scopes
        if key is None or found is None:
            raise Unauthorized
        if scope not in found:
            raise Forbidden


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def header_key(headers: Headers) -> bytes | None:
    """The key in ``Authorization: Bearer`` or else ``X-API-Key``."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip().encode("latin-1")
    plain = headers.get("x-api-key", "").strip()
    return plain.encode("latin-1") if plain else None


def _require(request: Request, scope: Scope) -> None:
    keys: Keys = request.app.state.gateway.keys
    try:
        keys.check(header_key(request.headers), scope)
    except Unauthorized:
        detail = "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
        raise ProblemError(401, detail, headers=_CHALLENGE) from None
    except Forbidden:
        raise ProblemError(403, f"this API key does not have the scope {scope}") from None


# Only so that OpenAPI tells how to send a key.
_Documented = Annotated[object, Depends(HTTPBearer(auto_error=False, scheme_name="bearer"))]
_DocumentedHeader = Annotated[object, Depends(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header"))]


async def may_read(request: Request, _: _Documented, __: _DocumentedHeader) -> None:
    """Dependency of routes that read. Raises ``ProblemError`` 401 or 403."""
    _require(request, "read")


async def may_write(request: Request, _: _Documented, __: _DocumentedHeader) -> None:
    """Dependency of routes that write. Raises ``ProblemError`` 401 or 403."""
    _require(request, "write")
