"""Errors that an operator can resolve. The command line prints their message as one sentence, without a traceback."""

import os
import socket


class OperatorError(Exception):
    """Something outside Khabar prevents the command; the message says what, and what to do."""


class SettingsError(OperatorError):
    """A setting is wrong or unknown; the message names it."""


class StartError(OperatorError):
    """A process did not start; the message says which, and where its log is."""


def reason(error: Exception) -> str:
    """Why a connection failed, in words instead of the repr of an exception."""
    if type(error).__name__ == "KafkaConnectionError" or " connecting to " in str(error):
        return "no answer"  # the messages of the clients of Kafka and Redis are tuples of addresses
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror)
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
