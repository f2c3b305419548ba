"""Speed of ingest: ``python -m benchmarks.ingest push|parse|polls|latency``.

========= ============================================================================
push      articles a CPU-second through ``POST``, beside a plain aiokafka producer
parse     items a CPU-second of the feed parser, beside plain feedparser
polls     polls a CPU-second of feeds that have not changed
latency   time of a push while feeds are polled, beside the time while none are
documents feed documents of each kind, made of seeds/
site      a feed server in a separate process
services  Kafka, Valkey and ``khabar ingest`` of a benchmark
========= ============================================================================

All servers and clients run on this machine. CPU time is that of the measured process and its children; Kafka, clients
and feed servers are other processes. What is compared is measured in turns within one run.
"""
