"""Delays between tries; defined in the client, which imports nothing of Khabar."""

from khabar.backoff import Backoff, delay

__all__ = ["Backoff", "delay"]
