"""A chapter whose kernel dies has failed: it says so, and an earlier output stays."""

import pytest

from fastresnet.book.notebooks import ChapterFailed

from ..test_chapters import chapter  # noqa: F401

DEATHS = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL")


@pytest.mark.faults(
    "Dead kernel", "The kernel of a chapter killed by a signal in a cell", "The chapter fails; its earlier output stays"
)
def test_chapter_of_a_dead_kernel_fails(attempts, chapter, tmp_path):  # noqa: F811
    before = chapter("number").read_bytes()
    for death in DEATHS[: attempts.times(None, 1)]:
        with attempts.attempt(death):
            with pytest.raises(ChapterFailed, match="[Kk]ernel died"):
                chapter(f"import os, signal; os.kill(os.getpid(), signal.{death})")
            assert (tmp_path / "out.ipynb").read_bytes() == before
            assert not list(tmp_path.glob("*.partial*"))
