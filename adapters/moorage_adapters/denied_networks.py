"""Networks that nobody may have us call: by network, for `ipaddress.is_global` calls several of them global.

IANA's registries of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry
and https://www.iana.org/assignments/iana-ipv6-special-registry, and where clouds answer their own machines.
Of IPv6 only 2000::/3 is given out to the world; of that, too, some networks lead elsewhere.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

DENIED: Final[dict[Network, str]] = {
    ip_network(network): why
    for network, why in (
        # IPv4
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers; also a cloud's metadata"),
        ("127.0.0.0/8", "this machine"),
        ("168.63.129.16/32", "a cloud's wire server"),
        ("169.254.0.0/16", "link-local; also clouds' metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments; also a cloud's metadata"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "automatic multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, and broadcast"),
        # IPv6: all that is not given out
        ("::/3", "this machine, IPv4 in disguise (::/96, ::ffff:0:0/96, 64:ff9b::/96), discard, unassigned"),
        ("4000::/2", "unassigned; SRv6 (5f00::/16)"),
        ("8000::/1", "unassigned, private (fc00::/7), link-local, site-local, multicast"),
        # IPv6: within what is given out
        ("2001::/23", "protocol assignments: Teredo, benchmarks, ORCHID"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4: IPv4 in disguise"),
        ("2620:4f:8000::/48", "AS112"),
        ("3ffe::/16", "the 6bone, given back"),
        ("3fff::/20", "documentation"),
    )
}


def address_of(text: str) -> Address:
    """The address that a resolver wrote, without the zone of a link-local one.

    Raises:
        ValueError: It is none.
    """
    return ip_address(text.partition("%")[0])


def is_within(address: Address, networks: Collection[Network]) -> bool:
    """Whether it is of one of these networks."""
    return any(address.version == network.version and address in network for network in networks)


def is_denied(address: Address) -> bool:
    """Whether nobody may have us call it."""
    return is_within(address, DENIED)
