"""Which network addresses strangers may make Khabar connect to: public ones, so that nobody reaches into the house.

Feeds and webhooks are addresses that strangers name.
"""

import errno
import ipaddress
import socket
from typing import Any

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(OSError):
    """A connection to an address that is not public was about to be made."""


def is_public(address: str) -> bool:
    """Whether an IP address (textual, a scope id is allowed) belongs to the public internet.

    IPv6 addresses that carry an IPv4 address are as public as the one they carry.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            carried.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if any(inner is not None and not is_public(str(inner)) for inner in carried):
            return False
        if ip.ipv4_mapped is not None:
            return True
    return ip.is_global and not ip.is_multicast


def public_socket(addr_info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for one address that a host name was resolved to, as aiohttp's ``socket_factory``.

    Called with the very address that is connected to next, after redirects and whatever the resolver said.
    Raises ``PrivateAddress``.
    """
    family, kind, protocol, _, address = addr_info
    if not is_public(str(address[0])):
        raise PrivateAddress(errno.EACCES, f"{address[0]} is not a public address")
    return socket.socket(family=family, type=kind, proto=protocol)
