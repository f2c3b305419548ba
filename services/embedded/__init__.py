"""A real Kafka and a real Valkey as child processes, for one machine, demos and tests.

======= ============================================================
jars    Kafka's jar files from Maven, pinned and checked by sha256
kafka   one Kafka node (KRaft): broker and controller in one process
valkey  one Valkey server with an append-only file
process a child process: start, wait until it responds, stop
======= ============================================================
"""
