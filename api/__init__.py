"""The gateway: reads ``updates`` into one shared log and serves it live over WebSocket, SSE and REST.

========== ====================================================================================
app        ``create_app``: the FastAPI application with its routes, error handlers and the page
server     ``khabar api``: runs the application in uvicorn
http_protocol  uvicorn's HTTP protocol with bounds: every request is answered
methods    HEAD, OPTIONS and ``Allow``
gateway    the parts that routes share: log, follower, stream, store, keys
commands   the commands of this package
watch      ``khabar watch``
problems   errors as problem documents (RFC 9457)
stream/    the shared log, filters and sessions: everything between Kafka and a connection
routes/    the HTTP and WebSocket endpoints
access/    API keys, limits, allowed origins of web pages
webhooks/  delivery of events to URLs that subscribers register
dashboard/ the page at ``/``
========== ====================================================================================
"""
