"""Webhooks: events sent to URLs that subscribers register, in order, retried until accepted.

========== =====================================================
routes     ``/v1/webhooks``: create, list, pause, resume, delete
manager    which webhooks this gateway delivers
assignment which gateway delivers which webhook
delivery   one webhook: read, send, retry, save its position
sender     one event as a signed request (Standard Webhooks)
targets    which URLs a webhook may have
========== =====================================================

``services/store/webhooks.py`` stores them.
"""

from api.webhooks.delivery import DeliveryPolicy
from api.webhooks.manager import DeliveryManager
from api.webhooks.routes import router

__all__ = ["DeliveryManager", "DeliveryPolicy", "router"]
