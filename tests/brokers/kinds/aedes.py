"""aedes, a broker for Node.js (`npm install aedes` in $VEDETTE_TEST_ROOTS); everything in memory."""

import json
import shutil
from pathlib import Path

from tests.brokers.kinds.program import Program
from tests.brokers.roots import FOLDER

MODULES = FOLDER / "node_modules"


class Aedes(Program):
    name = "aedes"
    lacks = frozenset({"mqtt 5", "retained kill", "retained stop", "session kill", "session stop"})

    @staticmethod
    def missing():
        if shutil.which("node") is None or not (MODULES / "aedes").exists():
            return f"needs node and `npm install --prefix {FOLDER} aedes`"
        return ""

    @staticmethod
    def version():
        return json.loads((MODULES / "aedes/package.json").read_text())["version"]

    @staticmethod
    def command(port):
        return "env", f"NODE_PATH={MODULES}", "node", Path(__file__).with_suffix(".js"), port
