"""Torch files that are written atomically and read without running code from them, and only if their checksums are right."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from fastresnet.records.atomic import replacing


def write_state(state: dict[str, Any], path: Path) -> None:
    """Writes tensors and plain values atomically, in a new folder if need be. Raises OSError that names a file that cannot be
    written."""
    content = io.BytesIO()  # given a file, torch hides why it could not write to it
    torch.save(state, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(content.getbuffer())


def read_state(content: bytes, device: torch.device | str = "cpu") -> Any:
    """Reads tensors and plain values from bytes that `torch.save` wrote. Raises one of several exceptions for other bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()  # torch writes checksums but does not check them
    if damaged:
        raise ValueError(f"its part {damaged} is altered")
    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
