"""Freed memory stays with the process, so that the next batch need not fetch its pages anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from service.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.ones(100_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back and takes advice on it")
def test_a_block_of_the_same_size_costs_no_new_pages() -> None:
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", SCRIPT, mode], check=True, capture_output=True).stdout)
        for mode in ("keep", "leave")
    }

    assert faults["keep"] < 10
    assert faults["keep"] < faults["leave"]


THREADS = """
import sys, threading
from service.memory import give_memory_back, keep_memory
assert keep_memory()
def use():
    blocks = [bytearray(b"x") * 1_000_000 for _ in range(40)]
for _ in range(4):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
assert give_memory_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps and gives back")
def test_what_was_kept_can_be_given_back_all_the_same() -> None:
    given = int(subprocess.run([sys.executable, "-c", THREADS], check=True, capture_output=True).stdout)

    assert given > 20_000_000
