"""What every room shares and what runs them.

============= =============================================================================
settings      environment variables ``KHABAR_*``, checked once at start
events        the one definition of every record
identity      the id of an article, from what its publisher sent
parsing       bytes → a checked article, or the sentence that says why not
normalization one spelling of Arabic words
arabic        letter normalisation of camel-tools, or an equivalent
addresses     which network addresses feeds and webhooks may lead to
clock         the present moment
files         reading articles from files and directories
zstd          Zstandard of the standard library, or its backport
progress      a progress bar for a person at a terminal
topics        the Kafka topics: names, partitions, how long they are kept
kafka         Kafka clients as Khabar uses them
fencing       one writer at a time on a log, whoever else believes to be it
groups        what Kafka knows of a consumer group: members and lag
deadletters   what was refused, with its cause, and again
store         every key of Redis or Valkey, and the scripts (``lua/``) that write and read them
telemetry     logs and metrics
embedded/     a real Kafka and a real Valkey as child processes
supervisor    ``khabar up``
status        ``khabar status``
cli           the ``khabar`` command; rooms bring theirs as entry points
============= =============================================================================
"""
