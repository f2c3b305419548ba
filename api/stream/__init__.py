"""The stream: from ``updates`` to the bytes of each connection.

============ ==============================================================================
follower     feeds the log from Kafka and survives every outage of Kafka
log          the shared, bounded log of encoded events
backlog      events older than the log, read from Kafka
stream_event a record of ``updates`` → an event: envelope and the facets that filters match
cursor       opaque cursors
filters      what a subscriber asks for
subscription a subscription as a client asks for it, and its errors
fanout       subscribers that are caught up, grouped by filter
session      one subscriber, whatever transport carries it
hub          opens sessions, sends heartbeats, closes all
protocols    uvicorn protocols that expose the transport and bound what is buffered
metrics      the gateway's own numbers
============ ==============================================================================
"""
