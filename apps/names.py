"""Under which names a server answers, and which pages may ask it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from workbench.links import AUTHORITY, check_public_name

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")


class Names:
    """Under which names a server answers: loopback's, the one that it listens on, and those that a proxy uses.

    Args:
        host: Where it listens.
        public: Further names, "name" or "name:port".

    Raises:
        InputError: a public name that is none.
    """

    def __init__(self, host: str = "127.0.0.1", public: Collection[str] = ()) -> None:
        self._public = {check_public_name(name) for name in public}
        self._hosts = {*LOOPBACK, *(_name(name) for name in self._public)}
        self._hosts.add(plain_address(host.lower().strip("[]")))
        self._anywhere = host in EVERYWHERE

    def hosts(self, authority: str, local: str) -> bool:
        """Whether a `Host` header names this server.

        Args:
            authority: "name" or "name:port"; the port is a tunnel's or a proxy's own matter.
            local: The address of this machine that the connection arrived at.

        Returns:
            Yes or no.
        """
        name = _name(authority)
        return bool(name) and (name in self._hosts or (self._anywhere and name == plain_address(local)))

    def origins(self, origin: str, authority: str) -> bool:
        """Whether a page of an origin may ask: one of this server's own.

        Args:
            origin: The `Origin` header.
            authority: The `Host` header of the same request.

        Returns:
            Yes or no.
        """
        parts = urlsplit(origin.lower())
        if parts.scheme not in ("http", "https") or not AUTHORITY.fullmatch(parts.netloc):
            return False
        return parts.netloc in (authority.lower(), *self._public)


def _name(authority: str) -> str:
    found = AUTHORITY.fullmatch(authority.lower())
    return plain_address(found[1] or found[2]) if found else ""


def plain_address(text: str) -> str:
    """One spelling of an address, without a zone, IPv4 within IPv6 as IPv4; a name stays as it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)
