"""The gateway: follows ``updates`` into one shared log and serves it live over WebSocket, SSE and REST.

========== ====================================================================================
app        ``create_app``: the FastAPI application with its routes, error handlers and the page
server     ``khabar api``: runs the application in uvicorn
gateway    what the routes share: log, follower, store, keys, limits
commands   the command lines of this package
watch      ``khabar watch``
problems   errors as problem documents (RFC 9457)
stream/    the shared log, filters, sessions: everything between Kafka and a connection
routes/    the HTTP and WebSocket endpoints
access/    keys, limits, origins: who may ask, how much, from which page
webhooks/  events sent to addresses that subscribers name
dashboard/ the page at ``/``
========== ====================================================================================
"""
