"""The site of the documentation: strict, whole, and without anything from elsewhere."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
BUILD = [sys.executable, "-m", "mkdocs", "build", "--strict"]
ENVIRONMENT = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}

pytestmark = pytest.mark.xdist_group("site")  # it takes ten seconds to build: once is enough


def hooks(name="site_hooks"):
    specification = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Links(HTMLParser):
    """What a page loads and leads to, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.leads, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag in LOADS and found.get("rel") != "canonical" and found.get(LOADS[tag]):
            self.loads.append(found[LOADS[tag]])
        if tag == "a" and found.get("href"):
            self.leads.append(found["href"])
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for library in ("material", "nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(library, reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [*BUILD, "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return {path: Links(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}, folder


@pytest.mark.timeout(700)
def test_every_link_leads_to_a_file_and_an_anchor(site):
    pages, folder = site
    broken = []
    for path, links in pages.items():
        for link in {*links.leads, *links.loads}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            anchored = there in pages and parts.fragment and not parts.fragment.startswith("__")
            if not there.is_file() or (anchored and unquote(parts.fragment) not in pages[there].anchors):
                broken.append(f"{path.relative_to(folder)}: {link}")
    assert broken == []
    assert sum(len(links.leads) for links in pages.values()) > 3000


@pytest.mark.timeout(700)
def test_nothing_is_loaded_from_elsewhere(site):
    pages, folder = site
    loaded = {link for links in pages.values() for link in links.loads}
    assert {link for link in loaded if urlsplit(link).scheme or urlsplit(link).netloc} == set()
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", sheet.read_text(encoding="utf-8"))


@pytest.mark.timeout(700)
def test_the_search_works_from_a_folder(site):
    _, folder = site
    index = (folder / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = ")
    assert "false_alarms_per_month" in index
    assert (folder / "vendor" / "iframe-worker" / "index.js").is_file()


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_word_is_found_in_a_browser_without_any_server(site):
    chromium = pytest.importorskip("benchmarks.chromium")  # it needs selenium
    if not chromium.installed():
        pytest.skip("needs chromium and chromium-driver (Debian packages)")
    _, folder = site
    browser = chromium.chromium()
    try:
        browser.get((folder / "index.html").as_uri())
        box = browser.find_element("css selector", "input.md-search__input")
        browser.execute_script("arguments[0].focus()", box)
        box.send_keys("false_alarms_per_month")
        wait = importlib.import_module("selenium.webdriver.support.ui").WebDriverWait(browser, 60)
        found = wait.until(lambda it: it.find_elements("css selector", ".md-search-result__item a"))
        assert any("drift" in one.get_attribute("href") for one in found)
    finally:
        browser.quit()


@pytest.mark.timeout(700)
def test_files_outside_docs_are_in_the_site(site):
    _, folder = site
    for name in ("config.example.toml",):
        assert (folder / "files" / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.timeout(700)
def test_no_list_stands_in_the_middle_of_a_paragraph(site):
    """What GitHub shows as a list, Python-Markdown takes for text where no empty line is before it."""
    pages, folder = site
    for path in pages:
        paragraphs = re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", path.read_text(encoding="utf-8"), re.DOTALL)
        plain = [re.sub(r"<[^>]+>", "", paragraph) for paragraph in paragraphs]
        assert [one for one in plain if re.search(r"\n\s*(?:[-*]|\d+\.) ", one)] == [], path.relative_to(
            folder
        )


@pytest.mark.timeout(700)
def test_a_notebook_stands_in_the_site_with_its_outputs(site):
    pages, folder = site
    page = folder / "notebooks" / "a-day.html"
    figures = [link for link in pages[page].loads if link.startswith("a-day-")]
    assert len(figures) >= 5
    for figure in figures:
        assert "<svg" in (folder / "notebooks" / figure).read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    assert "minutes of avenue" in text and "camera avenue is frozen" in text
    assert (folder / "notebooks" / "a-day.ipynb").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


def test_a_cell_that_fails_ends_the_build(tmp_path):
    for library in ("nbclient", "ipykernel"):
        pytest.importorskip(library, reason="needs the extra docs")
    import nbformat
    from nbclient.exceptions import CellExecutionError

    cells = [nbformat.v4.new_code_cell(source) for source in ("print('fine')", "1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        hooks("site_notebooks").executed(tmp_path / "broken.ipynb")


def test_a_broken_link_anchor_or_lost_page_is_an_error(tmp_path):
    pytest.importorskip("material", reason="needs the extra docs")
    (tmp_path / "scripts").mkdir()
    for name in ("site_hooks.py", "site_notebooks.py"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{config}\nnav:\n  - index.md\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(
        "# A\n\n[one](absent.md) [two](#lost) [three](../gone.toml)\n"
    )
    (tmp_path / "docs" / "orphan.md").write_text("# B\n")
    for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("# C\n")
    built = subprocess.run(BUILD, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert built.returncode != 0
    for fault in ("absent.md", "#lost", "gone.toml", "orphan.md"):
        assert fault in built.stderr, built.stderr


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "../CONTRIBUTING.md", "contributing.md"),
        ("index.md", "../README.md", "index.md"),
        ("recipes/cloud.md", "../../systemd/vedette.service", "../files/systemd/vedette.service"),
        ("recipes/cloud.md", "../wire.md", "../wire.md"),
        ("contributing.md", "docs/architecture.md", "architecture.md"),
        ("index.md", "notebooks/a-day.ipynb", "notebooks/a-day.md"),
        ("contributing.md", "agent/app/service.py", "files/agent/app/service.py"),
    ],
)
def test_a_link_leads_to_the_same_in_the_site(page, link, expected):
    assert hooks()._text(f"[x]({link}#y)", page) == f"[x]({expected}#y)"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("camera/<name>", "cameraname"),
        ("On the wire: what, when", "on-the-wire-what-when"),
        ("a_b [c]", "a_b-c"),
    ],
)
def test_a_heading_has_the_anchor_that_github_gives_it(heading, expected):
    assert hooks().anchor(heading, "-") == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("1. a\n2. b", "1. a\n2. b"),
        ("1. a\n   b\n2. c", "1. a\n    b\n2. c"),
        ("1. a\n\n   b\n2. c", "1. a\n\n    b\n\n2. c"),
        ("a:\n- b\n- c", "a:\n\n- b\n- c"),
        ("a - b\n\n- c", "a - b\n\n- c"),
    ],
)
def test_a_list_is_one_as_on_github(markdown, expected):
    assert hooks()._text(markdown, "index.md") == expected


def test_a_star_takes_what_no_closer_entry_names():
    nav = [{"A": ["one.md", "on*.md"]}, {"B": "*.md"}, {"C": "x/*.md"}, {"D": "none*.md"}]
    pages = ["one.md", "only.md", "two.md", "x/README.md", "x/a.md", "x/y/deep.md"]
    assert hooks().expanded(nav, pages) == [
        {"A": ["one.md", "only.md"]},
        {"B": ["two.md"]},
        {"C": ["x/README.md", "x/a.md"]},
    ]
