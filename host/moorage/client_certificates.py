"""Who a delivery's TLS client certificate says it is, when a proxy before us asks vendors for one (mTLS).

The proxy proves the certificate and passes its common name on in a header. A header is anybody's text, so
it counts only on connections from the proxy itself, stands there once, and equals the vendor's name. A
pattern would let look-alikes in, and the chain alone proves nothing: its authority signs for others, too.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from moorage.settings import Settings
from moorage_ports.errors import SignatureError

if TYPE_CHECKING:  # commands that serve nothing need not load the web framework
    from litestar.types import HTTPScope

Network: TypeAlias = IPv4Network | IPv6Network

PEER: Final = "moorage.peer"  # in the scope: who the socket is with, before X-Forwarded-For was believed


@attrs.frozen(kw_only=True)
class ClientCertificates:
    """What the settings ask of deliveries."""

    header: bytes
    proxies: Sequence[Network]

    @classmethod
    def of(cls, settings: Settings) -> "ClientCertificates | None":
        """`None` when they ask nothing."""
        if not settings.webhook_client_cn_header:
            return None
        return cls(
            header=settings.webhook_client_cn_header.encode("ascii"),
            proxies=[ip_network(proxy, strict=False) for proxy in settings.trusted_proxies],
        )

    def check(self, scope: "HTTPScope", name: str) -> None:
        """Let a delivery pass if it came with a certificate for `name`; a vendor without a name needs none.

        Raises:
            SignatureError: It did not come through the proxy, or not with the vendor's certificate.
        """
        if not name:
            return
        names = [value for header, value in scope["headers"] if header == self.header]
        if names != [name.encode("ascii")] or not self._is_proxy(_peer(scope)):
            msg = "this delivery does not come with the vendor's client certificate"
            remedy = "Have the proxy pass on the common name of the certificate that it verified."
            raise SignatureError(msg, remedy=remedy)

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.proxies)


def _peer(scope: "HTTPScope") -> str:
    """The address at the other end of the socket; empty if there is none."""
    noted = scope.get(PEER)
    if isinstance(noted, str):
        return noted
    client = scope.get("client")
    return client[0] if client else ""
