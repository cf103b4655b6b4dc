"""What is settled about a device before training."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of Linux's C library")
def test_memory_of_freed_tensors_is_kept_for_the_next_ones():
    code = """
import resource, torch
from fastresnet.device import keep_freed_memory
keep_freed_memory()
for tries in range(8):
    if tries == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)  # 64 MB: 15,625 pages, each of which would be asked for again
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000
