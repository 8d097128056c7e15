"""Whom a connection counts for: its address, of IPv6 the network of a home."""

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address

# A home has a network of IPv6 addresses, not one.
HOME_NETWORK_BITS = 64


def network_of(address: str) -> str:
    """The address that calls and connections are counted by: IPv4 as it is, of IPv6 the network of a home."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or IPv6Network((int(parsed), HOME_NETWORK_BITS), strict=False))
    return str(parsed)


class Neighbours:
    """How many connections each address has open; `trusted` ones, which speak for many, are not counted."""

    def __init__(self, at_most: int, trusted: Callable[[str], bool]) -> None:
        self.at_most, self.trusted = at_most, trusted
        self.open: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """One more connection, unless its address has enough."""
        network = network_of(address)
        if not self.trusted(address) and self.open[network] >= self.at_most:
            return False
        self.open[network] += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was admitted is over."""
        network = network_of(address)
        self.open[network] -= 1
        if not self.open[network]:
            del self.open[network]
