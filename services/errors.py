"""Errors that a person can mend: the command line shows their message as one sentence, without a traceback."""


class OperatorError(Exception):
    """Something outside Khabar is not as it must be; the message says what, and what to do."""


class SettingsError(OperatorError):
    """A setting is wrong or unknown; the message names it."""


class StartError(OperatorError):
    """Something did not come up; the message says which, and where its log is."""
