"""Describes what a result was made with: the hardware, the package versions and the source revision."""

import functools
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from fastresnet import __version__
from fastresnet.compute.surroundings import git
from fastresnet.records.record import Machine, Origin

_CPUINFO = Path("/proc/cpuinfo")
"""File in which Linux describes the processor."""


def origin(device: torch.device) -> Origin:
    """Describes what this process trains with on a device."""
    return Origin(machine=describe_machine(device), versions=versions(), source_revision=source_revision())


def describe_machine(device: torch.device) -> Machine:
    """Describes the hardware that this process runs on: the processor and the GPU, but never the name of the host."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30) if hasattr(os, "sysconf") else 0,
        device=device.type,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        system=f"{platform.system()} {platform.machine()}",
    )


def _processor() -> str:
    try:
        known = dict(re.findall(r"^(model name|flags)\s*: (.*)$", _CPUINFO.read_text(), re.MULTILINE))
    except OSError:
        known = {}
    name = known.get("model name", "").strip() or platform.processor() or platform.machine()
    matrices = ", AMX" if "amx_bf16" in known.get("flags", "").split() else ""
    return f"{name} ({torch.backends.cpu.get_cpu_capability()}{matrices})"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version(), "fastresnet": __version__} | {
        package: metadata.version(package) for package in ("torch", "torchvision", "numpy")
    }


@functools.cache
def source_revision(*further: str) -> str:
    """The commit of the running source, with "+changes" if files of the package or of `further` folders beside it differ from it;
    "unknown" outside a checkout."""
    package = Path(__file__).parents[1]

    def answer(*arguments: str) -> str:
        done = git(package, *arguments)
        done.check_returncode()
        return done.stdout.strip()

    try:
        answer("ls-files", "--error-unmatch", "__init__.py")  # an installed package may lie inside another project's checkout
        changes = answer("status", "--porcelain", "--untracked-files=normal", "--", ".", *(f"../{name}" for name in further))
        return answer("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
