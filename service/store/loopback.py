"""Which addresses only this machine reaches."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def local_address(host: str) -> str | None:
    """Where this machine reaches, without leaving itself, a service that listens on `host`; None for any other.

    A service that listens on every address is asked at loopback.
    """
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, never bound to
    return every.get(host) or (host if is_loopback(host) else None)
