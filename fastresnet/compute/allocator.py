"""Settings of the C memory allocator that let a process reuse freed memory.

By default, glibc maps each block above 32 MiB anew and unmaps it when it is freed. Every training step on a processor would
then cause page faults for all its activations.
"""

import ctypes
import platform

# constants of malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = -1
_GROWTH_BYTES = 256 << 20


def give_back_freed_memory() -> None:
    """Returns the process's unused memory to the system, so that a measurement of peak memory starts without it."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Makes glibc take large blocks from its heap and never shrink it until the process ends. Returns whether it succeeded.

    The process then keeps the most memory that it ever needed. Other C libraries (musl, macOS, Windows) are not changed. glibc
    has one heap per thread, too small for large blocks: threads other than the first need MALLOC_ARENA_MAX=1 in the environment.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(option, value) for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROWTH_BYTES))
    )
