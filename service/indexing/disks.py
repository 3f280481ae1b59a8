"""Which file system a folder is on, and whether it reports what other machines change."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
"""Linux lists here what is mounted where."""

_SHARED = frozenset(
    {
        # network drives
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "davfs", "coda"),
        # disks that several machines write to
        *("ocfs2", "gfs2"),
        # folders that a virtual machine or a container shares with its host
        *("9p", "vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "fakeowner", "grpcfuse", "osxfs"),
        # programs that show something else as a disk, such as sshfs; a disk of this machine is "fuseblk"
        "fuse",
    }
)
"""Types of file systems whose files change without this machine's kernel seeing it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system; `source` is the device or the server."""

    point: str
    file_system: str
    source: str

    @property
    def is_shared(self) -> bool:
        """Whether files change on it without this machine's kernel seeing it."""
        return self.file_system in _SHARED or self.file_system.startswith("fuse.")


def mounts_of(folder: Path, table: Path = MOUNTS) -> tuple[Mount, ...]:
    """The mount that a folder (absolute, resolved) is on, and those below it; none where the system does not say."""
    try:
        lines = os.fsdecode(table.read_bytes()).split("\n")
    except OSError:
        return ()
    # A later mount hides an earlier one at the same place.
    mounts = {mount.point: mount for mount in map(_parsed, lines) if mount is not None}
    inside, above = str(folder).rstrip("/") + "/", ""
    for point in mounts:
        if inside.startswith(point.rstrip("/") + "/") and len(point) > len(above):
            above = point
    below = [mount for point, mount in sorted(mounts.items()) if point != above and point.startswith(inside)]
    return (mounts[above], *below) if above else tuple(below)


def _parsed(line: str) -> Mount | None:
    fields = [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field) for field in line.split(" ")]
    return Mount(fields[1], fields[2], fields[0]) if len(fields) > 2 else None
