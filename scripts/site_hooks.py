"""Hooks of MkDocs (mkdocs.yml): pages of the top level, files outside docs/, stars in the navigation, GitHub's anchors.

Links in pages are those that GitHub follows. One that leaves docs/ leads to the page of that file where it has one
(`TOP_PAGES`), else to a copy of the file in the site.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "CHANGELOG.md": "changelog.md",
}
"""Page of the site for a page of the repository's top level; the README's is the start page of docs/."""
_MADE = {page: name for name, page in TOP_PAGES.items() if name != "README.md"}
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")
_INDENT = re.compile(r"^ {2,}(?=\S)", re.MULTILINE)
_ENTRY = re.compile(r"(?:[-*]|\d+\.) ")
_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as GitHub makes them, and the stars of the navigation."""
    config.mdx_configs["toc"]["slugify"] = anchor
    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
    config.nav = expanded(config.nav, [*pages, *_MADE])
    return config


def anchor(text: str, separator: str) -> str:
    """The anchor that GitHub gives to a heading: `camera/<name>` is at #cameraname."""
    return re.sub(r"\s", separator, re.sub(r"[^\w\s-]", "", text.lower()).strip())


def expanded(nav: Any, pages: list[str]) -> Any:
    """The navigation with each star replaced by the pages that it stands for: each page stands once."""
    named = set(_leaves(nav)) & set(pages)
    patterns = sorted((leaf for leaf in _leaves(nav) if "*" in leaf), key=len, reverse=True)
    found: dict[str, list[str]] = {}
    for pattern in patterns:  # the longer, the closer
        found[pattern] = [
            page
            for page in pages
            if page not in named and fnmatch(page, pattern) and page.count("/") == pattern.count("/")
        ]
        found[pattern].sort(key=lambda page: (not page.endswith("README.md"), page.removesuffix(".md")))
        named.update(found[pattern])
    return _filled(nav, found)


def _leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for part in (nav.values() if isinstance(nav, dict) else nav) for leaf in _leaves(part)]


def _filled(nav: list[Any], found: dict[str, list[str]]) -> list[Any]:
    made: list[Any] = []
    for entry in nav:
        if isinstance(entry, str):
            made += found.get(entry, [entry])
            continue
        ((title, value),) = entry.items()
        pages = _filled(value, found) if isinstance(value, list) else found.get(value, value)
        if pages:  # a star that stands for nothing makes no menu
            made.append({title: pages})
    return made


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the top level, and a copy of each file outside docs/ that a page links to."""
    from mkdocs.structure.files import File

    for page, name in _MADE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    linked = {
        target
        for file in files.documentation_pages()
        for target in _outside(file.src_uri, file.content_string)
    }
    for name in sorted(linked):
        if (ROOT / name).is_file():
            files.append(File.generated(config, f"files/{name}", content=(ROOT / name).read_bytes()))
    return files


def _outside(page: str, markdown: str) -> set[str]:
    """Files outside docs/ without a page that the page links to, from the repository's top."""
    targets = {_from_top(page, link) for link in _LINK.findall(_CODE.sub("", markdown))}
    return {one for one in targets if not one.startswith("docs/") and one not in TOP_PAGES}


def _from_top(page: str, link: str) -> str:
    """Where a link of a page leads, from the repository's top."""
    folder = "" if page in _MADE else posixpath.dirname(f"docs/{page}")
    return posixpath.normpath(posixpath.join(folder, link))


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """The page with the links of the site, and what stands in a list indented as Python-Markdown wants it."""
    made, end = [], 0
    for code in _CODE.finditer(markdown):
        made += [_text(markdown[end : code.start()], page.file.src_uri), code[0]]
        end = code.end()
    return "".join([*made, _text(markdown[end:], page.file.src_uri)])


def _text(markdown: str, page: str) -> str:
    """A part of a page without code: links of the site, and lists as Python-Markdown wants them."""
    deeper = _INDENT.sub(lambda found: " " * (4 * -(-len(found[0]) // 4)), markdown)
    return _LINK.sub(lambda found: _of_site(page, found[0]), "\n".join(_apart(deeper.split("\n"))))


def _apart(lines: list[str]) -> Iterator[str]:
    """The lines, with an empty one before an entry of a list that follows a paragraph: GitHub needs none."""
    before, in_entry = "", False
    for line in lines:
        entry = bool(_ENTRY.match(line))
        if entry and before and not in_entry:
            yield ""
        yield line
        before, in_entry = line.strip(), bool(line.strip()) and (entry or in_entry)


def _of_site(page: str, link: str) -> str:
    target = _from_top(page, link)
    there = TOP_PAGES.get(target) or (target[5:] if target.startswith("docs/") else f"files/{target}")
    there = re.sub(r"\.ipynb\Z", ".md", there)  # its page, which scripts/site_notebooks.py makes
    return os.path.relpath(there, posixpath.dirname(page) or ".")
