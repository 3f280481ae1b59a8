"""On which file system a folder is, and whether it reports what other machines change."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.indexing.disks import Mount, mounts_of

TABLE = r"""/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
/dev/sdb1 /media/me/Old\040disk fuseblk rw 0 0
nas:/photos /mnt/nas nfs4 rw 0 0
//pc/share /mnt/nas/inner cifs rw 0 0
autofs /mnt/auto autofs rw 0 0
server:/a /mnt/auto nfs rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
broken
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mounts"
    file.write_text(TABLE)
    return file


@pytest.mark.parametrize(
    ("folder", "file_systems", "shared"),
    [
        ("/home/you", ["ext4"], False),
        ("/home/me/remote/2019", ["fuse.sshfs"], True),
        ("/media/me/Old disk/photos", ["fuseblk"], False),
        ("/media/me/Old disk 2", ["ext4"], False),
        ("/mnt/nas/2019", ["nfs4"], True),
        ("/mnt/nas2", ["ext4"], False),
        ("/mnt/nas", ["nfs4", "cifs"], True),
        ("/mnt/nas/inner", ["cifs"], True),
        ("/mnt/auto", ["nfs"], True),
        ("/home/me", ["ext4", "fuse.sshfs"], True),
        ("/", ["ext4", "fuse.sshfs", "fuseblk", "nfs", "nfs4", "cifs", "proc"], True),
    ],
)
def test_the_disks_of_a_folder(table: Path, folder: str, file_systems: list[str], shared: bool) -> None:
    mounts = mounts_of(Path(folder), table)
    assert [mount.file_system for mount in mounts] == file_systems
    assert any(mount.is_shared for mount in mounts) is shared


@pytest.mark.parametrize(
    "name", ["nfs", "cifs", "smb3", "9p", "vboxsf", "virtiofs", "fuse", "fuse.rclone", "fuse.mergerfs"]
)
def test_network_drives_and_shared_folders_are_shared(name: str) -> None:
    assert Mount("/a", name, "x").is_shared


@pytest.mark.parametrize("name", ["ext4", "btrfs", "xfs", "zfs", "tmpfs", "overlay", "exfat", "ntfs3", "fuseblk"])
def test_disks_of_this_machine_are_not(name: str) -> None:
    assert not Mount("/a", name, "x").is_shared


def test_a_system_without_a_table_of_mounts_says_nothing(tmp_path: Path) -> None:
    assert mounts_of(Path("/home"), tmp_path / "missing") == ()


def test_a_name_may_hold_what_separates_lines_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "mounts"
    file.write_text("nas:/photos /mnt/a\u2028b\x0cc nfs4 rw 0 0\n", encoding="utf-8")
    assert [mount.file_system for mount in mounts_of(Path("/mnt/a\u2028b\x0cc"), file)] == ["nfs4"]


def test_the_table_may_hold_anything(tmp_path: Path) -> None:
    file = tmp_path / "mounts"
    file.write_bytes(b"\xff /\xff\xfe ext4\n\n / \n\0\0\n/dev/x / ext4 rw 0 0\n")
    assert [mount.source for mount in mounts_of(Path("/home"), file)] == ["/dev/x"]
