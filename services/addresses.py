"""Protection against server-side request forgery: feeds and webhooks may connect to public web servers only.

Their URLs come from untrusted users, who must not reach the private network through Khabar. The tables here decide what
is public, not the running Python, whose ``ipaddress.is_global`` differs from version to version.
"""

import errno
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final

# The entries of IANA's special-purpose registry that are not globally reachable or lead to anycast relays, multicast,
# and addresses that clouds use for services of the machine itself.
# https://www.iana.org/assignments/iana-ipv4-special-registry
_SPECIAL_IPV4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers; also 100.100.100.200, metadata of Alibaba Cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # services of Azure
            "169.254.0.0/16",  # link-local; also metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; also 192.0.0.192, metadata of Oracle Cloud
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays, deprecated
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# Only this block is allocated for global unicast addresses.
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry
_SPECIAL_IPV6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, except Teredo, which is decided by the embedded addresses
            "2001:db8::/32",  # documentation
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Of the ports below this one, only those of the web: the others belong to services such as SSH and mail.
_FIRST_FREE_PORT: Final = 1_024
_WEB_PORTS: Final = (80, 443)


class PrivateAddress(OSError):
    """A connection to an address that is not public, or to a port that is not for the web, was refused."""


def is_public(address: str) -> bool:
    """Whether an IP address (as text, a scope id is allowed) belongs to the public internet.

    An IPv6 address that embeds IPv4 addresses (mapped, NAT64, 6to4, Teredo) is public if all of these are.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return _is_public_ipv4(ip)
    embedded = _embedded(ip)
    if embedded:
        return all(map(_is_public_ipv4, embedded))
    return ip in _GLOBAL_IPV6 and not _in_any(ip, _SPECIAL_IPV6)


def is_web_port(port: int) -> bool:
    """Whether a port may be a web server's: 80, 443, or any from 1024."""
    return port in _WEB_PORTS or port >= _FIRST_FREE_PORT


def _is_public_ipv4(ip: ipaddress.IPv4Address) -> bool:
    return not _in_any(ip, _SPECIAL_IPV4)


def _embedded(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses to which a connection to this address leads."""
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    if ip.teredo is not None:
        return list(ip.teredo)
    return [found for found in (ip.ipv4_mapped, ip.sixtofour) if found is not None]


def _in_any(ip: object, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(ip in network for network in networks)


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
    if not is_web_port(int(address[1])):
        raise PrivateAddress(errno.EACCES, f"port {address[1]} is not one of a web server")
    return socket.socket(family=family, type=kind, proto=protocol)
