"""The folders of a checkout that hold no code: parameters, committed records, build products."""

from pathlib import Path

from fastresnet.errors import UserError

EDITIONS = ("quick", "small", "cpu", "gpu")
"""The editions, from the weakest to the strongest."""


def project_root() -> Path:
    """The checkout: the nearest folder, from the working directory upwards, that holds the book and its parameters.

    Failing that, the folder above this package. Raises UserError where neither is a checkout.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[2]):
        if (folder / "_toc.yml").is_file() and (folder / "params").is_dir():
            return folder
    raise UserError(f"{here}: not inside a checkout of fastresnet (no _toc.yml and params/ here or above)")


def parameter_file(chapter: str, edition: str) -> Path:
    """The YAML file of a chapter's parameters. Raises UserError for an unknown edition."""
    if edition not in EDITIONS:
        raise UserError(f"edition: no edition {edition!r}; allowed: {', '.join(EDITIONS)}")
    return project_root() / "params" / edition / f"{chapter}.yml"


def editions_of(chapter: str) -> list[str]:
    """The editions that a chapter has parameters for, from the weakest to the strongest."""
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
