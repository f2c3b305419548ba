"""Protection against server-side request forgery: feeds and webhooks may connect to public addresses only.

Their URLs come from untrusted users, who must not reach the private network through Khabar.
"""

import errno
import ipaddress
import socket
from typing import Any

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(OSError):
    """A connection to an address that is not public was refused."""


def is_public(address: str) -> bool:
    """Whether an IP address (as text, a scope id is allowed) belongs to the public internet.

    An IPv6 address that embeds an IPv4 address is public if the embedded address is.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            embedded.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(inner is not None and not is_public(str(inner)) for inner in embedded):
            return False
        if ip.ipv4_mapped is not None:
            return True
    return ip.is_global and not ip.is_multicast


def client_network(address: str) -> str:
    """The network by which a client is counted: its IPv4 address, or the /64 of its IPv6 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket has none
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))
    return str(ip)


def public_socket(addr_info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for one resolved address, for aiohttp's ``socket_factory``. Raises ``PrivateAddress``.

    aiohttp calls it with the address that it connects to next, so it also covers redirects and DNS rebinding.
    """
    family, kind, protocol, _, address = addr_info
    if not is_public(str(address[0])):
        raise PrivateAddress(errno.EACCES, f"{address[0]} is not a public address")
    return socket.socket(family=family, type=kind, proto=protocol)
