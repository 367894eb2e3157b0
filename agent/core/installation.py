"""How this Vedette was installed, and the command that adds an optional part to it in the same way.

No index knows a package of this name: a clone is installed from its folder, the service by its install.sh, and a
wheel's optional libraries by their own names.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

from agent.core.untrusted import BadInput, parse_object, take_flag, take_object, take_text

NAME = "vedette"
_PACKAGE = Path(__file__).resolve().parent.parent
_SERVICE_EXTRAS = {
    "notify": "apprise",
    "prometheus": "prometheus_client",
    "deploy": "cryptography",
    "parquet": "pyarrow",
    "openvino": "openvino",
}
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")
_OWN = re.compile(rf"{NAME}\[([\w.-]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where it is and what it came from.

    `folder` is the source tree it was installed from, if that is still there; `editable` that it runs from there.
    `requires` are the wheel's requirements as it lists them, `prefix` is the environment.
    """

    prefix: Path
    python: str
    folder: Path | None
    editable: bool
    requires: Sequence[str]


def found() -> Installation:
    """This installation."""
    from importlib import metadata  # only where something is missing

    try:
        distribution = metadata.distribution(NAME)
        origin, requires = distribution.read_text("direct_url.json") or "{}", distribution.requires or []
    except metadata.PackageNotFoundError:
        origin, requires = "{}", []
    folder, editable = source_of(origin)
    if folder is None and (_PACKAGE / "pyproject.toml").is_file():  # run from a clone as it is
        folder, editable = _PACKAGE, True
    return Installation(
        prefix=Path(sys.prefix), python=sys.executable, folder=folder, editable=editable, requires=requires
    )


def source_of(origin: str) -> tuple[Path | None, bool]:
    """The source tree that pip's direct_url.json names, and whether it is in use as it lies there."""
    try:
        body = parse_object(origin)
        url = take_text(body, "url", "")
        editable = take_flag(take_object(body, "dir_info", {}), "editable", False)
    except BadInput:
        return None, False
    local = url.startswith("file:///") and "dir_info" in body
    folder = Path(unquote(url.removeprefix("file://"))) if local else None
    return (folder, editable) if folder and (folder / "pyproject.toml").is_file() else (None, False)


def how_to_add(extra: str, installation: Installation | None = None) -> str:
    """The command that brings what `extra` needs, such as `sudo /root/vedette/scripts/install.sh --extras data`."""
    here = installation or found()
    if (here.prefix / "share" / NAME / "install.sh").is_file():
        return _by_script(extra, here)
    pip = f"{shlex.quote(here.python)} -m pip install"
    if here.folder is not None:
        return f"{pip} {'-e ' if here.editable else ''}{shlex.quote(f'{here.folder}[{extra}]')}"
    return f"{pip} {' '.join(map(shlex.quote, libraries(extra, here.requires) or [f'{NAME}[{extra}]']))}"


def libraries(extra: str, requires: Sequence[str]) -> list[str]:
    """What a wheel's metadata asks for where `extra` is wanted: `ultralytics>=8.3`."""
    names: list[str] = []
    for line in requires:
        requirement, _, marker = line.partition(";")
        asked = _EXTRA.search(marker)
        if not asked or asked[1] != extra:
            continue
        own = _OWN.fullmatch(requirement.strip())
        names += libraries(own[1], requires) if own and own[1] != extra else [requirement.strip()]
    return names


def _by_script(extra: str, here: Installation) -> str:
    """install.sh replaces the extras of before: those that are there stay."""
    present = [name for name, library in _SERVICE_EXTRAS.items() if find_spec(library) is not None]
    extras = ",".join(dict.fromkeys([*present, extra]))
    script = here.folder / "scripts" / "install.sh" if here.folder else None
    if script is not None and script.is_file():
        return f"sudo {shlex.quote(str(script))} --extras {extras}"
    return f"sudo ./install.sh --from BUNDLE, with a bundle made by `scripts/bundle --extras {extras}`"
