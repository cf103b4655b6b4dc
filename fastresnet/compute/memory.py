"""Recognises memory that ran out, whatever raised the error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fastresnet.errors import first_line


class OutOfMemory(RuntimeError):
    """A batch did not fit into memory; the message names its size and the remedies."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out."""
    # on a CPU torch raises a plain RuntimeError, and only its text tells the cause
    texts = ("can't allocate memory", "not enough memory", "std::bad_alloc", "could not create a memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in texts)


@contextmanager
def out_of_memory_named(batch: str, remedy: str) -> Iterator[None]:
    """Turns an error of memory in the block into OutOfMemory, which names the batch and the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise OutOfMemory(f"out of memory with {batch}: {remedy} ({first_line(error)})") from error
        raise
