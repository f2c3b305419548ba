"""Webhooks: events sent to the addresses that subscribers name, in order, again until they are taken.

========== ==========================================================================
routes     ``/v1/webhooks``: made, listed, paused, resumed, deleted
deliveries which webhooks this gateway delivers
shares     which gateway is to deliver which webhook
courier    one webhook: read, send, retry, save how far it came
sending    one event as a signed request (Standard Webhooks)
targets    which addresses a webhook may have
names      looking up host names that strangers chose
========== ==========================================================================

They lie in the store (``services/store/webhooks.py``).
"""

from api.webhooks.courier import Pace
from api.webhooks.deliveries import Deliveries
from api.webhooks.routes import router

__all__ = ["Deliveries", "Pace", "router"]
