"""Seeds: which are allowed, and what torch's generators are seeded with. Does not import torch."""

import hashlib
from numbers import Integral
from typing import Annotated

from pydantic import Field

from fastresnet.errors import UserError

LARGEST_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


def check_seed(seed: int) -> int:
    """The seed as an int. Raises UserError for anything but a whole number from 0 to `LARGEST_SEED`."""
    if not isinstance(seed, Integral) or not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"seed: must be a whole number from 0 to {LARGEST_SEED}, got {seed!r}")
    return int(seed)


def generator_seed(seed: int) -> int:
    """The number below 2**32 that seeds torch's generators for the seed of a run: the seed itself, or a hash of a larger one.

    On a processor, torch takes only the lowest 32 bits: the seeds 0 and 2**32 would give the same run.
    """
    return seed if seed < 2**32 else int.from_bytes(hashlib.sha256(b"%d" % seed).digest()[:4])
