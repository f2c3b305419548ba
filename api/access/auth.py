"""API keys and their scopes: who may read the stream and who may push articles. Without keys everybody may do both.

A key is stored as its SHA-256 digest and never logged. SHA-256 is right for keys of ``khabar keys new``, which have 256
random bits and cannot be guessed; a slow hash such as bcrypt, which protects guessable passwords, would only let anyone
keep the gateway busy with wrong keys. Keys that an operator chooses for ``KHABAR_API_KEYS`` should be as random; short
ones are refused.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal, get_args
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers

from api.access.limits import Quota, Reads, TooMany
from api.problems import ProblemError
from services.characters import one_line
from services.errors import SettingsError
from services.settings import Settings

Scope = Literal["read", "write"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_BOTH: Final[frozenset[Scope]] = frozenset(SCOPES)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="khabar"'}
_PREFIX: Final = "sha256:"
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_LIMIT = re.compile(rf"({'|'.join(Quota.names())})=([1-9]\d{{0,9}})")
MIN_CHARACTERS: Final = 20
_SOURCES = re.compile(r"sources=([^\s:,#]+)")
_LIMITS = ", ".join([*(f":{name}=N" for name in Quota.names()), ":sources=A|B"])
_FORM = f"KEY, KEY:read or KEY:write; KEY may be {_PREFIX}HEX, and then {_LIMITS} may follow"
_LINE = f"NAME {_PREFIX}HEX [read|write|read,write] [{'=N] ['.join(Quota.names())}=N] [sources=A|B]"
_UNLIMITED: Final = Quota()


class Unauthorized(Exception):
    """No key was sent, or an unknown one."""


class Forbidden(Exception):
    """The key is known but lacks the scope."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. ``name`` is safe to log; ``sources``: those whose articles it may push, None: any."""

    name: str
    digest: bytes
    scopes: frozenset[Scope] = _BOTH
    quota: Quota = _UNLIMITED
    sources: frozenset[str] | None = None


class Keys:
    """The keys of ``KHABAR_API_KEYS``: ``KEY[:read|:write]`` or hashed, with limits. Raises ``SettingsError``.

    The scopes of a key that is listed twice add up.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._keys: dict[bytes, Key] = {}
        for number, entry in enumerate(entries, 1):
            # The entry itself is a secret, so errors give its number.
            where = f"KHABAR_API_KEYS: entry {number}"
            key = _hashed(entry.split(":")[1:]) if entry.startswith(_PREFIX) else _plain(entry)
            if key is None:
                raise SettingsError(f"{where} must be {_FORM}")
            if not entry.startswith(_PREFIX) and len(_split(entry)[0]) < MIN_CHARACTERS:
                cause = f"the key must have at least {MIN_CHARACTERS} characters; khabar keys new makes one"
                raise SettingsError(f"{where}: {cause}")
            self._add(key, where)

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The keys of ``KHABAR_API_KEYS`` and of the file ``KHABAR_API_KEYS_FILE``. Raises ``SettingsError``."""
        keys = cls(settings.api_keys)
        if settings.api_keys_file is not None:
            keys._read(settings.api_keys_file)
        return keys

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"KHABAR_API_KEYS_FILE: {path} cannot be read: {error}") from None
        found = 0
        for number, line in enumerate(lines, 1):
            parts = line.split("#", 1)[0].split()
            if not parts:
                continue
            where = f"KHABAR_API_KEYS_FILE: line {number} of {path}"
            hashed = len(parts) > 1 and parts[1].startswith(_PREFIX)
            key = _hashed([parts[1].removeprefix(_PREFIX), *parts[2:]]) if hashed else None
            if key is None:
                raise SettingsError(f"{where} must be {_LINE}")
            self._add(replace(key, name=parts[0]), where)
            found += 1
        if not found:
            # An operator who names a file does not expect an open gateway.
            raise SettingsError(f"KHABAR_API_KEYS_FILE: there is no key in {path}")

    def _add(self, key: Key, where: str) -> None:
        known = self._keys.get(key.digest)
        if known is not None:
            if _UNLIMITED not in {key.quota, known.quota} or (key.sources and known.sources):
                raise SettingsError(f"{where}: this key has limits already")
            quota = known.quota if key.quota == _UNLIMITED else key.quota
            sources = known.sources or key.sources
            key = replace(key, scopes=key.scopes | known.scopes, quota=quota, sources=sources)
        self._keys[key.digest] = key

    @property
    def required(self) -> bool:
        """Whether requests need a key at all."""
        return bool(self._keys)

    def check(self, key: bytes | None, scope: Scope) -> Key | None:
        """The key when it has the scope; None when none is needed. Raises ``Unauthorized`` or ``Forbidden``."""
        if not self._keys:
            return None
        given = digest(key or b"")
        found: Key | None = None
        for known in self._keys.values():  # all of them, so that the time reveals nothing
            if hmac.compare_digest(known.digest, given):
                found = known
        if key is None or found is None:
            raise Unauthorized
        if scope not in found.scopes:
            raise Forbidden
        return found

    def by_owner(self, owner: str) -> Key | None:
        """The key with this ``owner_of``, if it still exists."""
        return next((key for key in self._keys.values() if owner_of(key) == owner), None)


def digest(key: bytes) -> bytes:
    """The digest that is stored of a key."""
    return hashlib.sha256(key).digest()


def owner_of(key: Key | None) -> str:
    """How the store identifies the key that created something, without revealing it; empty without keys."""
    return "" if key is None else key.digest.hex()


def new_key() -> str:
    """A key of 256 random bits."""
    return f"khabar_{secrets.token_urlsafe(32)}"


def _plain(entry: str) -> Key | None:
    """``KEY``, ``KEY:read`` or ``KEY:write``."""
    key, scope = _split(entry)
    scopes = _BOTH if scope is None else _scopes([scope])
    return None if scopes is None or not key else _key(digest(key.encode()), scopes)


def _split(entry: str) -> tuple[str, str | None]:
    """The key of an entry, and the name after the last colon if there is one."""
    key, colon, name = entry.rpartition(":")
    return (key, name) if colon else (entry, None)


def _hashed(parts: Sequence[str]) -> Key | None:
    """The digest, then scopes and limits in any order."""
    if not parts or not _HEX.fullmatch(parts[0]):
        return None
    scopes: frozenset[Scope] | None = None
    sources: frozenset[str] | None = None
    limits: dict[str, int] = {}
    for part in parts[1:]:
        limit = _LIMIT.fullmatch(part)
        if limit and limit[1] not in limits:
            limits[limit[1]] = int(limit[2])
        elif sources is None and (bound := _SOURCES.fullmatch(part)):
            sources = frozenset(one_line(unquote(one)).strip() for one in bound[1].split("|")) - {""}
            if not sources:
                return None
        elif scopes is None and (named := _scopes(part.split(","))):
            scopes = named
        else:
            return None
    return _key(bytes.fromhex(parts[0]), scopes or _BOTH, Quota(**limits), sources)


def _key(
    hashed: bytes,
    scopes: frozenset[Scope] = _BOTH,
    quota: Quota = _UNLIMITED,
    sources: frozenset[str] | None = None,
) -> Key:
    return Key(hashed.hex()[:8], hashed, scopes, quota, sources)


def _scopes(names: Sequence[str]) -> frozenset[Scope] | None:
    found: frozenset[Scope] = frozenset(scope for scope in SCOPES if scope in names)
    return found if found and set(names) <= _BOTH else None


def header_key(headers: Headers) -> bytes | None:
    """The key in ``Authorization: Bearer`` or else ``X-API-Key``."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip().encode("latin-1")
    plain = headers.get("x-api-key", "").strip()
    return plain.encode("latin-1") if plain else None


def _require(request: Request, scope: Scope) -> Key | None:
    keys: Keys = request.app.state.gateway.keys
    try:
        return keys.check(header_key(request.headers), scope)
    except Unauthorized:
        detail = "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
        raise ProblemError(401, detail, headers=_CHALLENGE) from None
    except Forbidden:
        raise ProblemError(403, f"this API key does not have the scope {scope}") from None


# Only for OpenAPI: how to send a key.
_Documented = Annotated[object, Depends(HTTPBearer(auto_error=False, scheme_name="bearer"))]
_DocumentedHeader = Annotated[object, Depends(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header"))]


async def may_read(request: Request, _: _Documented, __: _DocumentedHeader) -> Key | None:
    """Dependency of routes that read: the key that was sent. Raises ``ProblemError`` 401 or 403."""
    return _require(request, "read")


async def may_write(request: Request, _: _Documented, __: _DocumentedHeader) -> Key | None:
    """Dependency of routes that write: the key that was sent. Raises ``ProblemError`` 401 or 403."""
    return _require(request, "write")


async def may_ask(request: Request, key: Annotated[Key | None, Depends(may_read)]) -> None:
    """Dependency of routes that read from the store. Raises ``ProblemError`` 401, 403, or 429 after too many reads."""
    reads: Reads = request.app.state.reads
    try:
        reads.take(key, request.client.host if request.client else None)
    except TooMany as error:
        raise error.as_problem() from None


#: The key of a request that reads, or writes; None where none is needed.
Reader = Annotated[Key | None, Depends(may_read)]
Writer = Annotated[Key | None, Depends(may_write)]
