"""Addresses that only this machine can reach."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or host name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def local_address(host: str) -> str | None:
    """The loopback address of a service that listens on `host` or on all addresses; None for any other host."""
    all_addresses = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, never bound to
    return all_addresses.get(host) or (host if is_loopback(host) else None)
