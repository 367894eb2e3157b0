"""`agent/core/untrusted.py` is the only module that parses: everywhere else it is refused by what stands in the source."""

import ast
import re
from pathlib import Path

import pytest

import agent

ROOT = Path(agent.__file__).parent
ALLOWED = ROOT / "core" / "untrusted.py"
MODULES = {"tomllib", "tomli", "yaml", "pickle", "cPickle", "dill", "marshal", "shelve", "xmlrpc", "plistlib"}
CALLS = {
    "json.load",
    "json.loads",
    "json.JSONDecoder",
    "json.decoder",
    "ast.literal_eval",
    "builtins.eval",
    "builtins.exec",
}
NAMES = {"eval", "exec"}


def breaches(source):
    """Lines of `source` that parse, with what they use, under whatever name it was imported."""
    tree, known, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                known[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
                if name.name.partition(".")[0] in MODULES or name.name in CALLS:
                    found.append((node.lineno, name.name))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            banned = (node.module or "").partition(".")[0] in MODULES
            names = [f"{node.module}.{name.name}" for name in node.names]
            found += [(node.lineno, name) for name in names if banned or name in CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{known.get(node.value.id)}.{node.attr}"
            if name in CALLS:
                found.append((node.lineno, name))
        elif isinstance(node, ast.Name) and node.id in NAMES:
            found.append((node.lineno, node.id))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append((node.value.lineno, "allow_pickle"))
    return found


@pytest.mark.parametrize(
    "source",
    ["import json\njson.loads('1')", "import json as j\nj.load(f)", "from json import loads", "from json import loads as read",
     "import json\nparse = json.loads", "import tomllib", "def f():\n    import tomli", "from yaml import safe_load",
     "import pickle", "from pickle import loads", "import ast\nast.literal_eval('1')", "from ast import literal_eval",
     "eval('1')", "run = exec", "import json\njson.JSONDecoder().decode(x)", "import numpy as np\nnp.load(f, allow_pickle=True)",
     "import builtins\nbuiltins.eval('1')", "import yaml.constructor"],
)  # fmt: skip
def test_a_planted_call_is_seen(source):
    assert breaches(source)


@pytest.mark.parametrize(
    "source", ["import json\njson.dumps(1)", "model.eval()", "import ast\nast.parse('1')", "x.loads(1)"]
)
def test_what_does_not_parse_is_not_meant(source):
    assert not breaches(source)


def test_the_agent_parses_in_one_place():
    modules = [path for path in ROOT.rglob("*.py") if path != ALLOWED]
    assert len(modules) > 200  # the command line and the demo too
    found = {str(path.relative_to(ROOT)): said for path in modules if (said := breaches(path.read_text()))}
    assert not found, f"use agent.core.untrusted instead: {found}"
    assert breaches(ALLOWED.read_text())


@pytest.mark.parametrize("folder", ["agent", "tests", "benchmarks", "scripts"])
def test_every_lint_ignore_has_its_reason(folder):
    bare = re.compile(r"# noqa: [A-Z0-9, ]+(?!  \()$")
    found = [
        f"{path.relative_to(ROOT.parent)}:{number}"
        for path in (ROOT.parent / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if bare.search(line)
    ]
    assert not found, "write the reason behind it: # noqa: CODE  (the reason)"
