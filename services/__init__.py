"""Code that all packages share, and the supervisor that runs them.

============= =================================================================================
settings      environment variables ``KHABAR_*``, checked once at start
events        the one definition of every record
identity      the id of an article, computed from what its publisher sent
documents/    files, pages and feeds of others → articles and text
parsing       bytes → checked articles, or the reasons why they are invalid
characters    characters of foreign text that may not pass
normalization one spelling of Arabic words
arabic        letter normalisation of camel-tools, or an equivalent
connections   how to connect to Kafka and to Redis or Valkey: TLS, credentials, Sentinel
addresses     which network addresses feeds and webhooks may connect to
resolver      look-up of host names that users chose, in separate threads
backoff       delays between tries
blocking      blocking work in threads, with a deadline
child_parser  third-party parsers in child processes, with limits of time and memory
clock         the current time
forwarding    the headers with which the gateway forwards a request to ingest
subscriptions what the requests and answers of ``/v1/feeds`` hold
request_body  receiving a request body at a minimum rate
http_server   uvicorn as ingest and api run it: signals, listening
problems      errors as problem documents (RFC 9457)
decompression bounded decompression of untrusted data
zstd          Zstandard of the standard library, or its backport
progress      a progress bar for a person at a terminal
kafka_topics  the Kafka topics: names, partitions, retention
topic_ids     the ids of topics, which a topic created again does not keep
kafka         Kafka clients as Khabar uses them
header_names  reads records whose header names are not UTF-8
fencing       the write fence of a log: Kafka rejects all writers but the newest
groups        members and lag of the consumer group
log_positions where a reader continues when a log was replaced or records were deleted
deadletters   dead letters: the record, its cause, retry
terminal      foreign text as a terminal may show it
store/        all keys of Redis or Valkey, and the scripts (``lua/``) that write and read them
telemetry     logs and metrics
embedded/     a real Kafka and a real Valkey as child processes
supervisor    ``khabar up``
rotation      log files of bounded size
merged_metrics the metrics of all processes of ``khabar up`` on one port
conditions    what is wrong with a running instance: disk, crash loops
instances     the running instances of ``khabar up``, for the other commands
status        ``khabar status``
errors        errors that end a command with one sentence
options       what the commands of all packages share
cli           the ``khabar`` command; packages register theirs as entry points
============= =================================================================================
"""
