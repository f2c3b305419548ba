"""Aggregate: Article, Story and Trend → counters in the store.

======= =========================================================
counter applies batches of ``updates`` to the store, exactly once
rebuild counts everything that Kafka keeps again
======= =========================================================
"""
