"""Measurements of speed, run by hand; results are quoted with the command that repeats them.

========== ================================================================================
aggregate  cost of keeping the aggregates, and their memory in the store
annotate   cost of annotate, by step
fanout     events delivered per CPU-second, compared with simpler servers
group      cost of group per article
hostile/   effect of hostile clients on other clients
ingest/    speed of ingest: pushes, parsing of feeds, polls
latency    time from POST to the subscriber's frame
queries    time of aggregate queries, compared with a round trip to the store
receivers  subscribers in a separate process that read raw sockets and record times
recovery   time that group takes to restore its state
synthetic  annotated articles in large numbers
throughput throughput of the whole system
========== ================================================================================
"""
