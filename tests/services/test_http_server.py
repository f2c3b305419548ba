"""Listening sockets of the HTTP servers."""

import socket

import pytest

from services import http_server
from services.errors import SettingsError


def test_a_listening_socket_accepts_connections_with_its_options() -> None:
    """It listens on a free port, and the options are set."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    with http_server.listen("127.0.0.1", 0, setting="KHABAR_PORT", options=options) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "host.invalid"])
def test_an_address_that_cannot_be_listened_on_is_an_error_of_its_setting(host: str) -> None:
    """A port in use and an unknown host name are ``SettingsError`` with the setting, the address and the cause."""
    with http_server.listen("127.0.0.1", 0, setting="KHABAR_PORT") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"KHABAR_INGEST_PORT: cannot listen on {host}:{port}: .+"):
            http_server.listen(host, port, setting="KHABAR_INGEST_PORT")
