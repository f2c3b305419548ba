"""The store (Redis or Valkey): live aggregates, record locations, stories, trends, webhooks, feeds.

======== ============================================================================
layout   all keys; what is counted by minute, hour and day, and the windows over that
batch    a segment of the log, aggregated before it is applied
client   ``Store``: all reads and writes of the aggregates
answers  the types that the store returns
snapshot the counts that the trend detector reads
webhooks ``Webhooks``: reads and writes of webhooks, which no rebuild touches
feeds    ``Feeds``: feeds, their state and leases, which no rebuild touches
lua/     the scripts that write and read; ``common.lua`` is prepended to each of them
======== ============================================================================
"""

from services.store.answers import Completeness, Count, RecordLocation, Series, State, Top
from services.store.batch import Batch
from services.store.client import Gap, Store
from services.store.layout import DIMENSIONS, WINDOWS, Dimension, Span, Window
from services.store.snapshot import Counts, Observation, Snapshot

__all__ = [
    "DIMENSIONS",
    "WINDOWS",
    "Batch",
    "Completeness",
    "Count",
    "Counts",
    "Dimension",
    "Gap",
    "Observation",
    "RecordLocation",
    "Series",
    "Snapshot",
    "Span",
    "State",
    "Store",
    "Top",
    "Window",
]
