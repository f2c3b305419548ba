"""Assigns webhooks to gateways by rendezvous hashing (highest random weight; Thaler, Ravishankar 1998).

Every gateway computes the assignment by itself; gateways that know the same live gateways get the same result. It
depends only on the webhook's id and the gateways, so other webhooks do not affect it. When one of N gateways starts or
stops, only the webhooks that it gets or had are reassigned: about one in N.
"""

import hashlib
from collections.abc import Iterable


def assigned_gateway(webhook: str, gateways: Iterable[str]) -> str:
    """The gateway that delivers a webhook. Raises ``ValueError`` when there is no gateway."""
    return max(gateways, key=lambda gateway: (_weight(webhook, gateway), gateway))


def _weight(webhook: str, gateway: str) -> bytes:
    return hashlib.blake2b(f"{gateway} {webhook}".encode(), digest_size=8).digest()
