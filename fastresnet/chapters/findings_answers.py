"""The answers to all questions of the report, and how far its two final models get."""

from fastresnet.chapters import cifar10_answers, fashionmnist_answers
from fastresnet.report import original, values
from fastresnet.report.answers import Answer, answer, beside, percent, points
from fastresnet.report.verdicts import higher
from fastresnet.study import Results, Study, open_study


def final_models(final: Results) -> Answer:
    """The answer on how accurate the report's two final models become."""
    fast, accurate = (values(final, name, "test_accuracy") for name in ("fast", "accurate"))
    printed = {name: [accuracy] for name, (accuracy, _) in original.FINAL.items()}
    further = higher("The accurate model is more accurate than the fast one.", accurate, fast)
    return Answer(
        final,
        beside(percent, printed),
        beside(percent, {"fast": fast, "accurate": accurate}),
        f"{points(fast, printed['fast'])}; {points(accurate, printed['accurate'])}",
        (further,),
    )


def all_answers(final: Study) -> dict[str, Answer]:
    """The answers to every step of the report and to the ideas it left for later, and the one on its final models."""
    chapters = (("fashionmnist_speed", fashionmnist_answers.QUESTIONS), ("cifar10_accuracy", cifar10_answers.QUESTIONS))
    answers = {
        name: answer(study, questions, name)
        for chapter, questions in chapters
        for study in [open_study(chapter)]
        for name in questions
    }
    return answers | {"final": final_models(final.best_recorded("final"))}
