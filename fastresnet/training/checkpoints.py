"""Checkpoints: the first process of a group writes and reads the state of a run, for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fastresnet.compute.processes import ProcessGroup
from fastresnet.errors import UserError, first_line
from fastresnet.records.atomic import claimed
from fastresnet.records.folders import LocalFolder
from fastresnet.records.torch_files import read_state


@contextmanager
def own_checkpoint(path: Path | None) -> Iterator[None]:
    """Keeps other runs from a checkpoint, if there is one, during the block. Raises UserError if another run is using it."""
    if path is None:
        yield
        return
    with claimed(path) as ours:
        if not ours:
            raise UserError(f"checkpoint: another run is using {path}, as {path}.lock says; allowed: a file for each")
        yield


def read_checkpoint(path: Path, identity: str, device: torch.device, group: ProcessGroup) -> dict[str, Any] | None:
    """Reads the state in a checkpoint; None if there is no file. Only the first process of the group needs to see the file.

    Raises UserError if the file is damaged, or belongs to another run than `identity` names.
    """
    # gone if another process has just finished the same run
    content = group.from_first(lambda: LocalFolder(path.parent).get(path.name))
    if content is None:
        return None
    try:
        state: dict[str, Any] = read_state(content, device)
        found = state["identity"]
    except Exception as error:  # torch.load documents no type: a truncated archive is a RuntimeError, others differ
        raise UserError(f"{path}: not a readable checkpoint ({first_line(error)}); remove it or name another file") from error
    if found != identity:
        raise UserError(f"{path}: a checkpoint of run {found}, not of {identity}; remove it or name another file")
    return state
