"""Errors that an operator can resolve. The command line prints their message as one sentence, without a traceback."""

import os
import socket


class OperatorError(Exception):
    """Something outside Khabar prevents the command; the message says what, and what to do."""


class SettingsError(OperatorError):
    """A setting is wrong or unknown; the message names it."""


class StartError(OperatorError):
    """A process did not start; the message says which, and where its log is."""


# Errors of Redis and Valkey when they take no writes, by a part of their name or text.
_STORE_REFUSALS = {
    "OutOfMemoryError": "full: it has reached its maxmemory",
    "ReadOnlyError": "read-only: it is a replica",
    "MISCONF": "read-only: it cannot write to its disk",
}


def reason(error: Exception) -> str:
    """Why a connection failed, in words instead of the repr of an exception."""
    if type(error).__name__ == "KafkaConnectionError" or " connecting to " in str(error):
        return "no answer"  # the messages of the clients of Kafka and Redis are tuples of addresses
    if refused := next(
        (text for name, text in _STORE_REFUSALS.items() if name in f"{type(error).__name__} {error}"), None
    ):
        return refused
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
