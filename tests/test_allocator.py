"""Memory that tensors gave back serves the next ones, and changes no number."""

import platform
import subprocess
import sys

import pytest

from fastresnet.compute.allocator import keep_freed_memory

ROUNDS = """
import resource, sys, torch
from fastresnet.compute.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()

def work():
    for _ in range(20):
        torch.ones(16 << 20)  # 64 MiB: 16,384 pages of 4 KiB

work()  # until the heap has grown to what is needed
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


GIVEN_BACK = """
import torch
from fastresnet.compute.allocator import give_back_freed_memory, keep_freed_memory
from pathlib import Path

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) >> 10

keep_freed_memory()
torch.ones(256 << 20)  # 1 GiB
kept = resident()
give_back_freed_memory()
print(kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_of_one_run_is_not_counted_as_that_of_the_next():
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1000  # MiB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_not_faulted_in_again():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", ROUNDS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "given back")
    )
    assert 10 * kept < given_back


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
