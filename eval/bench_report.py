"""What every benchmark reports: figures with their spread over repeats, the machine, and package versions."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from service.compute.cores import usable_cores
from service.errors import UsageError


@dataclass(frozen=True)
class Figure:
    """One measurement, such as "decode alone" in "photographs/s"; `values` has one number per repeat."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the repeats, used where one number has to do."""
        return median(self.values)

    @property
    def least(self) -> float:
        """The smallest of the repeats."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest of the repeats."""
        return max(self.values)

    def as_json(self) -> dict[str, Any]:
        """Name, unit, median, least, most and all values, to four significant digits."""
        named: dict[str, Any] = {"name": self.name, "unit": self.unit}
        spread = {"median": self.median, "least": self.least, "most": self.most}
        return (
            named
            | {name: _rounded(value) for name, value in spread.items()}
            | {"values": [_rounded(value) for value in self.values]}
        )


@dataclass(frozen=True)
class BenchReport:
    """All figures of a benchmark and the conditions they were measured under.

    Attributes:
        bench: its name, as in `smysl bench NAME`.
        settings: model, precision, runtime, sizes, repeats: what was requested and what was used.
        notes: sentences about how to read the figures.
        machine: the result of `machine_facts` before the benchmark began.
        versions: the result of `versions_of` for the packages that do the work.
    """

    bench: str
    figures: list[Figure]
    settings: dict[str, Any]
    notes: list[str]
    machine: dict[str, Any]
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """All fields, for `--json`."""
        return {
            "bench": self.bench,
            "figures": [figure.as_json() for figure in self.figures],
            "settings": self.settings,
            "notes": self.notes,
            "machine": self.machine,
            "versions": self.versions,
        }


def machine_facts() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GB, system, Python, and how busy the machine is now.

    `load` is the mean number of processes that ran or waited for a core during the last minute; None where the system
    does not report it. Call this before measuring: afterwards the load is the benchmark's own.
    """
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions_of(*packages: str) -> dict[str, str]:
    """Installed versions by distribution name, with smysl's own; packages that are not installed are left out."""
    found = {}
    for package in ("smysl", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def check_repeats(repeats: int) -> None:
    """Raise `UsageError` where nothing would be measured."""
    if repeats < 1:
        raise UsageError(f"--repeats is {repeats}; it must be 1 or more.")


def check_range(option: str, value: int, least: int, most: int) -> None:
    """Raise `UsageError` where the value of an option such as "--queries" is out of range."""
    if not least <= value <= most:
        raise UsageError(f"{option} is {value:,}; it must be from {least:,} to {most:,}.")


def processor() -> str:
    """The processor's model name."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _rounded(value: float) -> float | int | None:
    """To four significant digits, numbers from 1,000 on to whole ones; None for NaN, which JSON does not have."""
    if math.isnan(value):
        return None
    if abs(value) >= 1000:
        return round(value)
    return float(f"{value:.4g}")
