"""The endpoints.

========== ==========================================
websocket  ``/v1/stream``
sse        ``/v1/events``
asyncapi   ``/asyncapi.json``
articles   articles and stories
aggregates aggregates, time series, trends
push       ``POST /v1/articles``, forwarded to ingest
websub     ``/v1/websub/…``: requests of WebSub's hubs, forwarded to ingest
feeds      ``/v1/feeds``, forwarded to ingest
forwarding what the gateway sends along with what it forwards
health     ``/healthz``, ``/readyz``, ``/metrics``
docs       ``/docs``: Swagger UI
pages      paging of long results
caching    ``ETag`` and ``Cache-Control`` of responses
========== ==========================================
"""
