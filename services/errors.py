"""Errors that the operator can fix: the command line prints their message as one sentence, without a traceback."""


class OperatorError(Exception):
    """Something outside Khabar is missing or wrong; the message says what, and how to fix it."""


class SettingsError(OperatorError):
    """A setting is wrong or unknown; the message names it."""


class StartError(OperatorError):
    """A process did not start; the message says which one, and where its log is."""
