"""Which gateway is to deliver which webhook: rendezvous hashing (highest random weight; Thaler, Ravishankar 1998).

Every gateway reckons by itself, and whoever knows of the same gateways comes to the same answer. It depends on nothing
but the webhook's id and the gateways: what others do with their webhooks moves nobody's. When a gateway comes or goes,
only the webhooks that it is to have, or had, change hands: about one in so many as there are gateways.
"""

import hashlib
from collections.abc import Iterable


def whose(webhook: str, gateways: Iterable[str]) -> str:
    """The gateway that is to deliver a webhook. Raises ``ValueError`` when there is none."""
    return max(gateways, key=lambda gateway: (_weight(webhook, gateway), gateway))


def _weight(webhook: str, gateway: str) -> bytes:
    return hashlib.blake2b(f"{gateway} {webhook}".encode(), digest_size=8).digest()
