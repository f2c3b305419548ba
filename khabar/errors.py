"""The exceptions that end a subscription. A broken connection is not one of them: the client reconnects by itself."""


class Error(Exception):
    """Base of all errors of the client."""


class Refused(Error):
    """The gateway refused the subscription, and a retry would have the same result.

    ``code`` is the gateway's (``bad_filter``, ``bad_cursor``, ``bad_request``, ``unauthorized``, ``forbidden``) or
    ``no_stream``: there is no Khabar stream at the address.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TooOld(Error):
    """Events after the cursor (or after the time ``since``) are no longer retained.

    ``oldest`` is the cursor to connect with for everything that is retained.
    """

    def __init__(self, oldest: str, message: str) -> None:
        super().__init__(message)
        self.oldest = oldest
        self.message = message


class Unreadable(Error):
    """This version of the client cannot read the event at ``cursor``; the message says why.

    The subscription continues: the next event is the one after it.
    """

    def __init__(self, cursor: str, message: str) -> None:
        super().__init__(message)
        self.cursor = cursor
        self.message = message
