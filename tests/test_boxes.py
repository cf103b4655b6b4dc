"""What the book's pages add to a chapter's text: boxes, defaults in the reference."""

import boxes
import nbformat
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from sphinx import addnodes

from fastresnet.book import build


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("**The report** found it faster.", ["box", "original"]),
        ("Is it faster? **No.** It is slower.", ["box", "verdict", "no"]),
        ("- Is *a* faster? **Points to yes.** It is.", ["box", "verdict", "yes", "few"]),
        ("**Finding.** The highest is the first.", ["box", "finding"]),
        ("**Why.** An activation is cheap.", []),
        ("It ends with **Finding.**", []),
        ("*Finding.* in other type", []),
    ],
)
def test_paragraph_with_a_known_lead_or_an_outcome_is_boxed(text, classes):
    document = publish_doctree(text)
    boxes._box(None, document)
    (paragraph,) = document.findall(nodes.paragraph)
    assert paragraph["classes"] == classes


def test_lead_is_found_behind_the_empty_text_that_myst_puts_before_bold():
    document = publish_doctree("**Finding.** here")
    (paragraph,) = document.findall(nodes.paragraph)
    paragraph.insert(0, nodes.Text(""))
    boxes._box(None, document)
    assert paragraph["classes"] == ["box", "finding"]


def test_types_spelt_out_as_validators_are_left_out_of_the_reference():
    document = publish_doctree("text")
    plain, spelt = (addnodes.desc_annotation("", text) for text in (": int", ": Annotated[int, Gt(gt=0)]"))
    document += [plain, spelt]
    boxes._leave_out_validators(None, document)
    assert list(document.findall(addnodes.desc_annotation)) == [plain]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("fastresnet.DataConfig.batch_size", "batch_size = 128"),
        ("fastresnet.TrainConfig.schedule", "schedule"),  # a model, whose text would fill lines
        ("fastresnet.config.schedules.Constant.lr", "lr"),
        ("fastresnet.report.captions.brief", "brief"),
    ],
)
def test_reference_says_the_default_of_a_setting(name, shown):
    document = publish_doctree("text")
    signature = addnodes.desc_signature("", nodes.Text(name.rpartition(".")[2]), ids=[name])
    document += signature
    boxes._say_defaults(None, document)
    assert signature.astext() == shown


def test_figure_s_description_is_the_picture_s_text_and_no_parameters_show():
    figure = nbformat.v4.new_code_cell("figure", metadata={"tags": ["hide-input"]})
    figure.outputs = [
        nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg/>"}, metadata={"image/svg+xml": {"alt": "F1"}})
    ]
    injected = nbformat.v4.new_code_cell("epochs = 2", metadata={"tags": ["injected-parameters"]})
    first, second = build._for_the_page(nbformat.v4.new_notebook(cells=[figure, injected])).cells
    assert first.metadata["mystnb"] == {"image": {"alt": "F1"}}
    assert second.metadata["tags"] == ["injected-parameters", "remove-cell"]
