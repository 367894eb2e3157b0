"""Hook of MkDocs (mkdocs.yml): each notebook of docs/notebooks is run, and stands in the site as a page with its outputs.

A cell that fails ends the build. The notebook itself, which is kept without outputs, and its data lie beside the page.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

CELL_SECONDS = 300
PICTURES = {"image/svg+xml": ".svg", "image/png": ".png"}
_STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Run each notebook, and add its page and pictures."""
    from mkdocs.structure.files import File

    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = file.src_uri.removesuffix(".ipynb")
        text, pictures = page(executed(Path(str(file.abs_src_path))), name.rpartition("/")[2])
        files.append(File.generated(config, f"{name}.md", content=text))
        for picture, data in pictures.items():
            folder = name.rpartition("/")[0]
            files.append(File.generated(config, f"{folder}/{picture}", content=data))
    return files


def executed(path: Path) -> Any:
    """The notebook with what its cells give; raises nbclient's CellExecutionError where one fails."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    return NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where).execute()


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """The notebook as Markdown, and the pictures in it by file name."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_output(output, name, pictures) for output in _joined(cell.outputs)]
        else:
            parts.append(cell.source)
    title, *rest = parts
    link = f'This page is a notebook that was run: <a href="{name}.ipynb" download>{name}.ipynb</a>.'
    return "\n\n".join([title, link, *rest, ""]), pictures


def _joined(outputs: list[Any]) -> Iterator[Any]:
    """The outputs, with what was printed in several pieces as one."""
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    if printed:
        yield {"text/plain": printed}
    yield from (output.data for output in outputs if output.output_type != "stream")


def _output(data: Any, name: str, pictures: dict[str, bytes]) -> str:
    for kind, suffix in PICTURES.items():
        if kind in data:
            picture = f"{name}-{len(pictures) + 1}{suffix}"
            text = data[kind]
            pictures[picture] = text.encode() if suffix == ".svg" else base64.b64decode(text)
            return f"![{data.get('text/plain', 'Figure')}]({picture})"
    if "text/html" in data:
        return _STYLE.sub("", data["text/html"]).replace('<table border="1" class="dataframe">', "<table>")
    return f"```text\n{data['text/plain'].rstrip()}\n```"
