"""Where a checkout keeps what is not code: parameters, chapters, committed records, build products."""

from pathlib import Path

from fastresnet.errors import UserError

EDITIONS = ("quick", "cpu", "gpu")
"""From the weakest to the strongest."""


def project_root() -> Path:
    """The checkout: the nearest folder, from the working directory upwards, that holds the book and its parameters.

    Failing that, the folder above this package. Raises UserError where neither is a checkout.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[1]):
        if (folder / "_toc.yml").is_file() and (folder / "params").is_dir():
            return folder
    raise UserError(f"{here}: not inside a checkout of fastresnet (no _toc.yml and params/ here or above)")


def parameter_file(chapter: str, edition: str) -> Path:
    """The YAML file of a chapter's parameters. Raises UserError for an unknown edition."""
    if edition not in EDITIONS:
        raise UserError(f"edition: no edition {edition!r}; allowed: {', '.join(EDITIONS)}")
    return project_root() / "params" / edition / f"{chapter}.yml"


def committed_results() -> Path:
    """The records that belong to the study."""
    return project_root() / "results"


def own_results(edition: str) -> Path:
    """Where new runs of an edition are recorded: quick ones are build products, the others are the study's record."""
    return project_root() / "_build" / "results" if edition == "quick" else committed_results()
