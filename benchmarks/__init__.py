"""Measurements of speed, run by hand and quoted with their command.

========== ============================================================================
aggregate  the cost of keeping the aggregates, and their memory in the store
annotate   the cost of annotate
asking     the time of an aggregate query, compared with a bare round trip to the store
fanout     events delivered per CPU-second, compared with servers that do less
group      the cost of group per article
hostile    what hostile clients cost the others
latency    from POST to the frame at a subscriber
receivers  subscribers in a separate process that read raw sockets and record times
recovery   how long group takes to restore its state
streams    annotated articles in large numbers
throughput throughput of the whole system
========== ============================================================================
"""
