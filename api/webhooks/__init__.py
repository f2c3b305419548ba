"""Webhooks: events sent to the addresses that subscribers name, in order, retried until accepted.

========== =====================================================
routes     ``/v1/webhooks``: create, list, pause, resume, delete
manager    which webhooks this gateway delivers
assignment which gateway delivers which webhook
delivery   one webhook: read, send, retry, save its position
sender     one event as a signed request (Standard Webhooks)
targets    which addresses a webhook may have
resolver   look-up of host names that strangers chose
========== =====================================================

They are stored by ``services/store/webhooks.py``.
"""

from api.webhooks.delivery import Pace
from api.webhooks.manager import Deliveries
from api.webhooks.routes import router

__all__ = ["Deliveries", "Pace", "router"]
