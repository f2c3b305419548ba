"""Fixtures that several tests of services share."""

from tests.enrich.conftest import log

__all__ = ["log"]
