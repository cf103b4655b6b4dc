"""Memory that tensors have given back stays with the process, for the next ones.

glibc maps each block above 32 MiB anew and unmaps it when it is freed, so that every training step on a processor would fault
all its activations in again.
"""

import ctypes
import platform

# of malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = -1
_GROWTH_BYTES = 256 << 20


def give_back_freed_memory() -> None:
    """Gives back to the system what the process keeps and does not use, so that what comes is counted from there."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Tells glibc to take large blocks from its heap and never to shrink that, for the rest of the process; says whether it did.

    Any other C library (musl, macOS, Windows) is left as it is. A process then holds on to the most that it ever needed. glibc
    has a heap a thread, too small for such blocks: a thread other than the first needs MALLOC_ARENA_MAX=1 in the environment.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(option, value) for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROWTH_BYTES))
    )
