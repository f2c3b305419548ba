"""What the gateway sends along with a request that it forwards to ingest."""

from urllib.parse import quote

from fastapi import Request

from api.access.auth import Key, owner_of
from api.gateway import Gateway
from services.addresses import client_network
from services.forwarding import CLIENT_HEADER, SOURCES_HEADER


def headers_for(gateway: Gateway, request: Request, key: Key | None) -> dict[str, str]:
    """On whose behalf the request is, the sources that the key is bound to, and the token of ingest."""
    client = owner_of(key) or client_network(request.client.host if request.client else "")
    headers = {CLIENT_HEADER: client}
    if key is not None and key.sources is not None:
        headers[SOURCES_HEADER] = "|".join(map(quote, sorted(key.sources)))
    if gateway.settings.ingest_token:
        headers["authorization"] = f"Bearer {gateway.settings.ingest_token}"
    return headers
