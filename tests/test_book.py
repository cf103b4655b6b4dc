"""The built book: every chapter in it, nothing fetched from elsewhere, readable at any width."""

import functools
import json
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from fastresnet.book import build
from fastresnet.book.notebooks import CHAPTERS, ChapterFailed, chapter_parameters
from fastresnet.config.parsing import parse_assignment
from fastresnet.study import STUDIES
from fastresnet.study.project import project_root

from .conftest import accessibility_findings

pytestmark = pytest.mark.slow

PAGES = (*CHAPTERS, "reproduce", "glossary", "api", "references")


@pytest.fixture(scope="session")
def html():
    """The book of this checkout: built as `make book` builds it, unless FASTRESNET_BOOK says that this has just been done.

    It is built for a user whose shell asks matplotlib not to show figures.
    """
    if os.environ.get("FASTRESNET_BOOK") == "built":
        return project_root() / "_build" / "html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        steps = dict(build.build_book(everything=True))
    assert set(steps) == {*(f"chapter {name}" for name in CHAPTERS), "book"}
    return build.book_page().parent


class Links(HTMLParser):
    """Everything a page makes a browser fetch by itself, what it links to, the places in it, and its pictures' texts."""

    def __init__(self):
        super().__init__()
        self.fetched, self.linked, self.places, self.texts = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.places |= {values.get("id")}
        if tag == "a" and values.get("href"):
            self.linked.append(values["href"])
        if tag == "img":
            self.texts.append(values.get("alt", ""))
        if tag in ("script", "img", "iframe", "source", "video"):
            self.fetched.append(values.get("src"))
        if tag == "link" and values.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon", "preconnect"):
            self.fetched.append(values.get("href"))


def links_of(page):
    links = Links()
    links.feed(page.read_text())
    return links


@pytest.mark.parametrize("name", PAGES)
def test_every_link_within_the_book_leads_to_its_place(html, name):
    here = html / "book" / f"{name}.html"
    inside = [urlsplit(link) for link in links_of(here).linked if not re.match(r"\w+:", link)]
    assert len(inside) > len(PAGES)
    targets = {(here.parent / unquote(link.path)).resolve() if link.path else here: link for link in inside}
    missing = [str(target) for target in targets if not target.is_file()]
    places = {target: links_of(target).places for target in targets if target.suffix == ".html" and target.is_file()}
    for link in inside:
        target = (here.parent / unquote(link.path)).resolve() if link.path else here
        if link.fragment and target in places and unquote(link.fragment) not in places[target]:
            missing.append(link.geturl())
    assert not missing


@pytest.mark.parametrize("name", [*STUDIES, "preface"])
def test_every_figure_is_described_in_words(html, name):
    texts = links_of(html / "book" / f"{name}.html").texts
    assert texts
    assert not [text for text in texts if len(text.split()) < 5]


@pytest.mark.parametrize("name", STUDIES)
def test_chapter_says_how_to_run_it_again_with_a_command_that_is_accepted(html, name):
    text = re.sub(r"<[^>]+>", "", (html / "book" / f"{name}.html").read_text())
    command = r"Run it again: \.venv/bin/fastresnet chapter run (\w+) -p (\S+)(?: --scale [\d.]+)? -o mine\.ipynb"
    chapter, changes = re.search(command, text).groups()
    assert chapter == name
    key, value = parse_assignment(changes)
    assert chapter_parameters(name, "quick", {key: value}) != chapter_parameters(name, "quick", {})


@pytest.mark.parametrize("name", STUDIES)
def test_chapter_has_tables_and_boxes_of_claims_findings_and_verdicts(html, name):
    text = (html / "book" / f"{name}.html").read_text()
    opened = re.findall(r"<p[^>]*>(?=<strong>(?:The report|The claim|In short|Finding|Run it again)[.:]?</strong>)", text)
    verdicts = re.findall(r"<p(?: [^>]*)?>(?=(?:(?!</p>).)*\? <strong>(?:Yes|No|Cannot tell|Points to)\b)", text, re.DOTALL)
    assert len(opened) > 1
    assert verdicts
    assert all('class="box ' in tag for tag in [*opened, *verdicts])
    assert "<table" in text
    assert re.search(r"(cpu|gpu) edition", text)


@pytest.mark.parametrize("name", PAGES)
def test_page_names_nothing_that_lies_elsewhere(html, name):
    text = (html / "book" / f"{name}.html").read_text()
    links = links_of(html / "book" / f"{name}.html")
    assert links.fetched
    assert not [link for link in links.fetched if link and re.match(r"(https?:)?//", link)]
    assert "unpkg.com" not in text
    assert "cdn.jsdelivr" not in text


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_to_download_names_no_place_of_the_machine_that_ran_it(html, name):
    notebook = json.loads((html / "_sources" / "book" / f"{name}.ipynb").read_text())
    metadata = [notebook["metadata"], *(cell["metadata"] for cell in notebook["cells"])]
    assert notebook["metadata"]["papermill"]["version"]
    assert not re.findall(r'"/[^"]*|[^"]*partial[^"]*', json.dumps(metadata))


def test_chapter_that_was_not_executed_stops_the_book(html, tmp_path):
    root = project_root()
    folder = tmp_path / "build"
    shutil.copytree(root / "_build" / "chapters", folder / "chapters")
    path = folder / "chapters" / f"{STUDIES[0]}.ipynb"
    notebook = json.loads(path.read_text())
    next(cell for cell in reversed(notebook["cells"]) if cell["cell_type"] == "code")["execution_count"] = None
    path.write_text(json.dumps(notebook))
    with pytest.raises(ChapterFailed, match="was never executed"):
        build.stage(root, folder)


def test_warning_of_jupyter_book_fails_a_strict_build(html, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(project_root() / "_build" / "source", source)
    page = source / "book" / "reproduce.md"
    page.write_text(page.read_text() + "\n\n[nowhere](#nothing-of-that-name)\n")
    with pytest.raises(ChapterFailed, match="nothing-of-that-name"):
        build.render(source, tmp_path / "out", strict=True)


@pytest.fixture(scope="session")
def served(html):
    """The book's address on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


VISITS = [(name, *look) for name in PAGES for look in (("light", 1400), ("dark", 390))]
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module", params=VISITS, ids=lambda visit: "-".join(map(str, visit)))
def visit(browser, served, request):
    """A page in a theme and a width, with its scripts' errors, what it asked for, and how many bytes came, pictures aside."""
    name, theme, width = request.param
    page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    errors, requests, weights = [], [], {}
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.on("response", lambda got: got.request.resource_type == "image" or weights.update({got.url: len(got.body())}))
    page.goto(f"{served}/book/{name}.html", wait_until="networkidle")
    yield SimpleNamespace(page=page, width=width, errors=errors, requests=requests, weights=weights)
    page.close()


@pytest.mark.browser
def test_page_makes_no_outside_request_and_fits_its_window(visit, served):
    assert len(visit.requests) > 3
    assert not [url for url in visit.requests if not url.startswith((served, "data:", "blob:"))]
    assert not visit.errors
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.width
    loaded = visit.page.evaluate("[...document.querySelectorAll('article img')].map(image => image.naturalWidth)")
    assert all(loaded)


@pytest.mark.browser
def test_page_weighs_less_than_1_5_mb_without_pictures(visit):
    assert 100_000 < sum(visit.weights.values()) < 1_500_000, visit.weights


@pytest.mark.browser
def test_page_is_accessible(visit):
    assert not accessibility_findings(visit.page, impacts=GRAVE)


@pytest.mark.browser
def test_figures_are_dark_on_the_dark_page_and_light_on_paper(browser, served):
    page = browser.new_page(color_scheme="dark")
    page.goto(f"{served}/book/findings.html", wait_until="networkidle")
    figure = "getComputedStyle(document.querySelector('.cell_output img')).filter"
    assert "invert(1)" in page.evaluate(figure)
    page.emulate_media(media="print")
    assert page.evaluate(figure) == "none"
    assert not page.locator(".bd-sidebar-primary").is_visible()
    page.close()


@pytest.mark.browser
def test_outputs_have_a_dark_page_s_ground_and_aligned_headings(browser, served):
    page = browser.new_page(color_scheme="dark")
    for name in ("explorer", "throughput"):
        page.goto(f"{served}/book/{name}.html", wait_until="networkidle")
        ground = "all => all.map(each => getComputedStyle(each).backgroundColor)"
        assert set(page.locator(".cell_output .text_html").evaluate_all(ground)) == {"rgba(0, 0, 0, 0)"}
    sides = "row => [...row.cells].map(cell => getComputedStyle(cell).textAlign).join()"
    page.goto(f"{served}/book/architectures.html", wait_until="networkidle")
    for table in page.locator("[data-widget] table").all():
        assert len({row.evaluate(sides) for row in table.locator("tr").all()}) == 1  # headings stand above their cells
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", ["explorer", "reproduce"])
@pytest.mark.parametrize("width", [380, 1400])
def test_code_is_not_cut(browser, served, name, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{served}/book/{name}.html", wait_until="networkidle")
    hidden = "all => all.map((box) => box.scrollWidth - box.clientWidth)"
    assert set(page.locator("article div.highlight pre").evaluate_all(hidden)) == {0}
    page.close()


@pytest.mark.browser
def test_tables_fit_a_telephone_with_each_cell_named(browser, served):
    page = browser.new_page(viewport={"width": 380, "height": 900})
    page.goto(f"{served}/book/fashionmnist_speed.html", wait_until="networkidle")
    tables = page.locator(".cell_output table.dataframe:not(:has(thead tr + tr))")
    hidden = "all => all.map(({ parentElement: box }) => box.scrollWidth - box.clientWidth)"
    assert set(tables.evaluate_all(hidden)) == {0}
    label = page.locator("table.dataframe.cards td").first.evaluate("cell => getComputedStyle(cell, '::before').content")
    assert label == '"seconds per epoch, extrapolated: "'
    page.close()


@pytest.mark.browser
def test_answers_are_sorted_by_touch_on_a_telephone(browser, served):
    page = browser.new_page(viewport={"width": 380, "height": 900})
    page.goto(f"{served}/book/findings.html", wait_until="networkidle")
    claims = page.locator("table.answers.cards").first
    claims.get_by_role("button", name="borne out?", exact=True).click()
    words = claims.locator("tbody td:nth-child(5)").all_inner_texts()
    assert words == sorted(words)
    assert len(set(words)) > 1
    assert not claims.get_by_role("button", name="difference").is_visible()  # cards leave it out
    page.close()


@pytest.mark.browser
def test_formulas_are_set_without_a_script(browser, served):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{served}/book/myrtle_notes.html")
    power = page.locator("math msup").first
    base, exponent = (power.locator("> *").nth(place).bounding_box() for place in (0, 1))
    assert exponent["y"] < base["y"]
    assert exponent["x"] > base["x"]
    assert "\\eta" not in page.locator("main").inner_text()
    page.close()


@pytest.mark.browser
def test_page_opens_from_the_disk(browser, html):
    page = browser.new_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((Path(html) / "book" / "fashionmnist_speed.html").as_uri(), wait_until="load")
    assert "FashionMNIST" in page.title()
    assert not [url for url in requests if url.startswith("http")]
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_explorer_works_on_the_page_in_either_theme(browser, served, theme):
    page = browser.new_page(color_scheme=theme)
    page.goto(f"{served}/book/explorer.html", wait_until="networkidle")
    assert page.locator("html").get_attribute("data-theme") == theme
    curve = page.locator(".schedule-explorer path.curve").first
    before = curve.get_attribute("d")
    page.get_by_label("Maximal rate, slider").fill("900")
    page.get_by_label("Shape").select_option("cosine")
    assert curve.get_attribute("d") != before
    assert not accessibility_findings(page, ".schedule-explorer", impacts=GRAVE)
    page.close()
