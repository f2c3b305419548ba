"""The gateway: follows ``updates`` into one shared log and serves it live over WebSocket, SSE and REST.

========== ===================================================================================
app        the FastAPI application: routes, error handlers, the page
gateway    what the routes share: log, follower, store, keys, limits
follower   feeds the log from Kafka, through every absence of Kafka
log        the shared, bounded log of encoded events
backlog    what is older than the log, read back from Kafka
events     a record of ``updates`` → an event: envelope and what filters look at
cursor     opaque cursors
filters    what a subscriber wants
feeds      who has everything and waits for more, by filter
subscriptions what a client asks for, and what it is told when that cannot be had
stream     opens sessions, looks after the live ones, closes all
session    one subscriber, whatever carries it
websocket  ``/v1/stream``
sse        ``/v1/events``
transport  what uvicorn's connections must do for clients that do not read
routes     articles, stories
aggregates aggregates, time series, trends
caching    how long answers may be kept
pages      pages of long answers
push       ``POST /v1/articles``, forwarded to ingest
auth       API keys
limits     what one key or one address may take
origins    which web pages may use the gateway
webhooks/  events sent to addresses that subscribers name
health     ``/healthz``, ``/readyz``, ``/metrics``
metrics    the gateway's own numbers
problems   errors as problem documents (RFC 9457)
service    ``khabar api``
watch      ``khabar watch``
commands   the command lines of this room
dashboard/ the page at ``/``
========== ===================================================================================
"""
