"""Pages: how a chapter shows its answers in a notebook, each experiment in the same shape, by one call.

    page = Page(study, QUESTIONS)
    page.show("C9")

Unlike the rest of this package, it needs IPython.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Markdown, display

from fastresnet.report.answers import Answer, Questions, Table, answer, scale, tally
from fastresnet.report.captions import brief, fold, provenance, without_tags
from fastresnet.report.tables import summary
from fastresnet.report.verdicts import Verdict, VerdictList
from fastresnet.study import Study

LONG = 12
"""Rows of the longest table that is shown without a collapsible section."""


class Page:
    """A chapter's study, and the functions that answer its experiments' questions."""

    def __init__(self, study: Study, questions: Questions) -> None:
        self.study = study
        self._questions = questions
        self._answers: dict[str, Answer] = {}

    def answer(self, experiment: str) -> Answer:
        """The answer to an experiment's question. Missing runs are trained."""
        if experiment not in self._answers:
            self._answers[experiment] = answer(self.study, self._questions, experiment)
        return self._answers[experiment]

    def answers(self) -> dict[str, Answer]:
        """The answers to all of the chapter's experiments, in its order."""
        return {experiment: self.answer(experiment) for experiment in self._questions}

    def show(self, experiment: str) -> None:
        """Shows what came out in one sentence, the scale, figure, tables and verdicts, and a collapsible section with the runs'
        provenance."""
        found = self.answer(experiment)
        display(HTML(f'<span class="anchor" id="{escape(experiment)}"></span>'))
        display(Markdown(without_tags(f"**In short.** {found.sentence}\n\n{brief(found.results[0])}")))
        if found.figure:
            figure = found.figure()
            display(figure)
            plt.close(figure)
        for table in found.tables:
            display(HTML(_folded(table)) if len(table.index) > LONG else table)
        display(VerdictList(found.verdicts))
        display(HTML(_fold(found)))

    def in_short(self) -> Markdown:
        """How many of the claims that the chapter runs again its runs bear out."""
        return Markdown(f"**In short.** Of what was claimed, {tally(self.answers().values())}.")

    def overview(self) -> HTML:
        """The table of all answers of the chapter."""
        return overview({self.study.name: self.answers()}, here=True)


def in_short(*answers: Answer) -> Markdown:
    """What came out of some experiments, each in a sentence with its verdicts below it. Several are told apart by their names."""
    names = [f"{found.results[0].experiment.id}: " * (len(answers) > 1) for found in answers]
    return Markdown(
        "\n\n".join(
            f"{without_tags(f'**In short.** {name}{found.sentence}')}\n\n{VerdictList(found.verdicts)._repr_markdown_()}"
            for name, found in zip(names, answers, strict=True)
        )
    )


def overview(chapters: Mapping[str, Mapping[str, Answer]], *, here: bool = False) -> HTML:
    """Two tables of answers, by chapter: on what the original claims, and on questions of our own. One row per answer: experiment
    and its question, the original's figure, ours, difference, whether our runs bear the original out, or else the verdicts, and
    scale. Each row links to its section, on this page if it is `here`; a verdict shows its question to a pointer on it."""
    rows: dict[str, list[str]] = {"borne out?": [], "verdicts": []}
    for chapter, answers in chapters.items():
        for name, found in answers.items():
            claimed = any(verdict.claimed for verdict in found.verdicts)
            asked = [verdict for verdict in found.asked if verdict.claimed == claimed]
            judged = [(found.borne_out, asked)] if claimed and asked else [(each.outcome, [each]) for each in asked]
            cells = (
                f'<a href="{"" if here else f"{chapter}.html"}#{escape(name)}">{escape(name)}</a> '
                f"{_plain(found.results[0].experiment.question)}",
                *map(_plain, (found.original, found.here, found.difference)),
                ", ".join(_word(*each) for each in judged) or "not asked of these runs",
                scale(found.results[0]),
            )
            rows["borne out?" if claimed else "verdicts"].append("".join(f"<td>{cell}</td>" for cell in cells))
    return HTML("".join(_answers(judged, each) for judged, each in rows.items() if each))


def _answers(judged: str, rows: Sequence[str]) -> str:
    columns = ("experiment", "claimed", "here", "difference", judged, "images x epochs, seeds")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    caption = "What was claimed" if judged == "borne out?" else "Questions of our own"
    return (
        f'<table class="answers sortable"><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def live(study: Study, experiment: str) -> pd.DataFrame | Markdown:
    """The table of an experiment in the quick edition, trained while the book's page is made. A page with other parameters has
    nothing to show in it."""
    if study.edition == "quick" and study.unchanged:
        return summary(study.run(experiment))
    return Markdown("*Left out here, since this page was made with other parameters.*")


def _word(word: str, verdicts: Iterable[Verdict]) -> str:
    """A word about some verdicts as HTML, in its colour. Their questions, and what was measured, are shown to a pointer on it."""
    said = _plain(" ".join(f"{verdict.question} {verdict.found}" for verdict in verdicts))
    return f'<span class="{word.replace(" ", "-")}" title="{said}">{word}</span>'


def _plain(markdown: str) -> str:
    return escape(markdown.replace("*", ""))


def _folded(table: Table) -> str:
    """HTML of a collapsible section with a table."""
    return f"<details><summary>Table of {len(table.index)} rows</summary>{table._repr_html_()}</details>"


def _fold(found: Answer) -> str:
    """HTML of a collapsible section with the provenance of the runs and the statistics of the verdicts."""
    tests = (f"{verdict.question} {verdict.statistics}" for verdict in found.asked if verdict.statistics)
    return fold("Runs and statistics", (*map(provenance, found.results), *tests))
