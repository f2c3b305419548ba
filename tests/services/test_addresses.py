"""Which addresses and ports feeds and webhooks may connect to."""

import pytest

from services.addresses import PrivateAddress, is_public, is_web_port, public_socket

_PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "168.63.129.15",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82a::200e",
    "2002:808:808::1",  # 6to4 of 8.8.8.8
    "64:ff9b::808:808",  # NAT64 of 8.8.8.8
    "::ffff:8.8.8.8",
    "2001:0:808:808:0:ffff:f7f7:f7f7",  # Teredo of 8.8.8.8 through 8.8.8.8
]
_NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "10.1.2.3",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:168.63.129.16",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "100:0:0:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:0:7f00:1::1",
    "2001:0:808:808:0:ffff:80ff:fffe",  # Teredo of 127.0.0.1
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", _PUBLIC)
def test_public_addresses(address: str) -> None:
    """Ordinary addresses, and IPv6 addresses that lead to ordinary IPv4 addresses."""
    assert is_public(address)


@pytest.mark.parametrize("address", _NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    """Private networks, this machine, metadata of clouds, and every way to embed these in IPv6."""
    assert not is_public(address)


def test_ports_of_other_services_are_refused() -> None:
    """Of the ports below 1024 only 80 and 443 are allowed."""
    assert [port for port in (22, 25, 53, 80, 110, 443, 445, 993, 1023, 1024, 8080, 65535) if is_web_port(port)] == [
        80,
        443,
        1024,
        8080,
        65535,
    ]


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 443), ("8.8.8.8", 25)])
def test_no_socket_for_what_is_refused(address: str, port: int) -> None:
    """aiohttp asks for a socket before each connection, and gets an error instead."""
    with pytest.raises(PrivateAddress):
        public_socket((2, 1, 6, "", (address, port)))
