"""The folders of a checkout that hold no code: parameters, committed records, build products."""

import subprocess
from pathlib import Path

from fastresnet.compute.surroundings import git
from fastresnet.errors import UserError

EDITIONS = ("quick", "cpu", "gpu")
"""The editions, from the smallest to the largest."""


def project_root() -> Path:
    """The checkout: the nearest folder, from the working directory upwards, that holds the book and its parameters.

    Failing that, the folder above this package. Raises UserError where neither is a checkout.
    """
    here = Path.cwd()
    if root := _checkout_around(here) or _checkout_around(Path(__file__).parents[2]):
        return root
    raise UserError(f"{here}: not inside a checkout of fastresnet (no _toc.yml and params/ here or above)")


def _checkout_around(folder: Path) -> Path | None:
    checkouts = (each for each in (folder, *folder.parents) if (each / "_toc.yml").is_file() and (each / "params").is_dir())
    return next(checkouts, None)


def is_committed(path: Path) -> bool:
    """Whether a file is committed in a checkout of fastresnet, or a folder holds such files. Links are followed.

    In a checkout without git, this holds for everything outside the build folder.
    """
    target = path.resolve()
    root = _checkout_around(target)
    if root is None or not target.exists() or target.is_relative_to(root / "_build"):
        return False
    try:
        return git(root, "ls-files", "--error-unmatch", "--", target).returncode != 1  # 1: git does not know the file
    except (OSError, subprocess.TimeoutExpired):
        return True


def parameter_file(chapter: str, edition: str) -> Path:
    """The YAML file of a chapter's parameters. Raises UserError for an unknown edition."""
    if edition not in EDITIONS:
        raise UserError(f"edition: no edition {edition!r}; allowed: {', '.join(EDITIONS)}")
    return project_root() / "params" / edition / f"{chapter}.yml"


def editions_of(chapter: str) -> list[str]:
    """The editions that a chapter has parameters for, from the smallest to the largest."""
    return [edition for edition in EDITIONS if parameter_file(chapter, edition).exists()]


def committed_results() -> Path:
    """The folder of the study's committed records."""
    return project_root() / "results"


def live_results() -> Path:
    """The folder of the quick edition's records: build products, made anew with each book."""
    return project_root() / "_build" / "live"


def own_results() -> Path:
    """The folder for records of runs with changed parameters. They are kept, but do not belong to the study's record."""
    return project_root() / "_build" / "results"
