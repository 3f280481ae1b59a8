"""Freed memory stays in the process, so that the next batch causes no page faults, until it is returned."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from service.compute.malloc import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.ones(100_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns memory and can be told not to")
def test_a_block_of_the_same_size_causes_no_page_faults() -> None:
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", SCRIPT, mode], check=True, capture_output=True).stdout)
        for mode in ("keep", "leave")
    }

    assert faults["keep"] < 10
    assert faults["keep"] < faults["leave"]


RETURNED = """
from pathlib import Path
from service.compute.malloc import give_memory_back, keep_memory
assert keep_memory()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [bytearray(b"x") * 1_000_000 for _ in range(60)]
del blocks
before = resident()
assert give_memory_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps and returns memory")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells how much is resident")
def test_kept_memory_can_be_returned() -> None:
    returned = int(subprocess.run([sys.executable, "-c", RETURNED], check=True, capture_output=True).stdout)

    assert returned > 30_000_000
