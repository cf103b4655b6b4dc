"""Torch files: written in one move, read without running code from them, and only if every byte is as it was written."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from fastresnet.records.atomic import replacing


def write_state(state: dict[str, Any], path: Path) -> None:
    """Writes tensors and plain values in one move. Raises OSError, naming the file, if it cannot be written."""
    content = io.BytesIO()  # given a file, torch hides why it could not write to it
    torch.save(state, content)
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


def read_state(content: bytes, device: torch.device | str = "cpu") -> Any:
    """What `torch.save` wrote: tensors and plain values. Raises one of several exceptions for anything else."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()  # torch writes check sums but leaves it at that
    if damaged:
        raise ValueError(f"its part {damaged} is altered")
    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
