"""The stream: from ``updates`` to the bytes of each connection.

============ ==============================================================================
follower     feeds the log from Kafka and reconnects after outages
log          the shared, bounded log of encoded events
backlog      events older than the log, read from Kafka
stream_event a record of ``updates`` → an event: envelope and the facets that filters match
cursor       opaque cursors
filters      parses the filters of a subscription and matches them against events
subscription a subscription as a client requests it, and its errors
fanout       delivers new events to the subscribers that are caught up, grouped by filter
session      one subscriber, independent of its transport
turns        a share of the event loop for work that takes milliseconds
hub          opens sessions, sends heartbeats, closes all
protocols    uvicorn protocols that expose the connection and bound its buffers
metrics      the gateway's own numbers
============ ==============================================================================
"""
