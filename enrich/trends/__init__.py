"""Trends: which counts rise.

========= ===================================================
detector  counts → trends that start, grow and end; pure
publisher publishes trends on ``updates`` under a write fence
========= ===================================================
"""
