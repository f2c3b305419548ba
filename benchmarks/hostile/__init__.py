"""Effect of hostile clients on other clients: ``python -m benchmarks.hostile [--seconds 45] [--only KIND ...]``.

======== ==========================================================================
client   a hostile client, and how often an attack is repeated
streams  clients that are hostile by how they connect, read and send
work     clients that are hostile by the work they ask for
gateway  measures both with a gateway that runs alone
articles producers that are hostile by what they push
whole    measures these with a whole Khabar: ``python -m benchmarks.hostile --whole``
======== ==========================================================================

One gateway runs in a separate process, as in ``benchmarks.fanout``: its log is fed directly, its limits are the
defaults. 200 well-behaved subscribers get 20 events a second each (4,000 deliveries a second). Their delay is measured
alone, then together with each kind of hostile client, together with all of them, and alone again. Delays run from when
an event was due until the subscriber's kernel had it (see ``benchmarks.receivers``).

Each kind of hostile client is a separate process with ``nice 19``. On a machine of two cores it still takes CPU time
from the gateway, independent of the gateway's work for it. The control ``spins`` shows this: a process that computes
and connects to nothing. The gateway's share of a core is printed as well: the increase over the run alone is caused by
the hostile clients. Memory is that of the gateway's process before, the maximum during, and after. A kind fails when
it raises the others' p99 by more than 10 ms over that with ``spins``, or the memory by more than 150 MB.

``never_reads``  subscribe from the start of the log and read nothing; half of them read after 12 s
``silent``       connect and send nothing; others upgrade and do not answer pings
``garbage``      invalid frames, text that is not JSON, requests that are not HTTP
``huge``         frames of 2^62 bytes, frames one byte above the limit, messages of endless fragments
``pieces``       messages of endless empty fragments
``pings``        pings as fast as possible: one client reads the answers, one does not
``subscribes``   ops as fast as possible: two clients read the answers, one does not
``slow_heads``   request heads that grow by one line a second, and endless ones as fast as possible
``many``         1,100 connections at once subscribe to everything from one address other than the loopback, of which
                 1,000 are accepted; after 10 s they disconnect, and start again
``filters``      10 subscriptions to as many values of as many words as a filter may have, while every half second an
                 article of 300 KB is published that has all these words but one of each value
``churn``        10 clients change to such a filter 20 times a second
``scans``        20 clients at a time search the whole log for a word that does not occur
``upgrades``     100 WebSocket upgrades at a time with a body, too long or too many headers, or too long a URL
``slow_bodies``  100 requests at a time whose body never ends

With ``--whole`` a separate ``khabar up`` runs, and others push an ordinary article every 250 ms, ask the gateway and
ingest for ``/healthz`` every 10 ms, and subscribe. Printed are p99 of both, p99 from push to the subscriber, and the
memory of each process. A kind fails when it raises p99 of either ``/healthz`` by more than 10 ms over that with
``spins``, or the memory of gateway or ingest by more than 150 MB.

``uploads``      8 pushes at a time of 16 MB, compressed, whose body never ends
``bombs``        pushes of millions of empty JSON arrays, compressed to a few KB
``deep_html``    articles of deeply nested and of alternating inline elements, 128 KB each
``many_names``   articles with ten thousand different names each
``questions``    20 requests at a time for stories that have an entity that does not occur
``slow_names``   webhooks to host names that take long to resolve
"""
