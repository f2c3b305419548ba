"""What ends a subscription. A broken connection is none of it: the client comes back by itself."""


class Error(Exception):
    """Base of all errors of the client."""


class Refused(Error):
    """Asking again can only give the same answer.

    ``code`` is the gateway's (``bad_filter``, ``bad_cursor``, ``bad_request``, ``unauthorized``, ``forbidden``) or
    ``no_stream``: there is no stream of Khabar's at the address.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TooOld(Error):
    """What follows the cursor (or the time of ``since``) is no longer kept.

    ``oldest`` is the cursor to connect with for all that is.
    """

    def __init__(self, oldest: str, message: str) -> None:
        super().__init__(message)
        self.oldest = oldest
        self.message = message


class Unreadable(Error):
    """The event at ``cursor`` is not what this version of the client can read; the message says why.

    Whoever asks for the next event gets the one after it.
    """

    def __init__(self, cursor: str, message: str) -> None:
        super().__init__(message)
        self.cursor = cursor
        self.message = message
