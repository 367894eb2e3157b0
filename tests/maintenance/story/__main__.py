"""python -m tests.maintenance.story FOLDER PYTHON [MODEL]: runs the story; PYTHON has ultralytics, MODEL saves the training."""

import sys
from pathlib import Path

from tests.maintenance.story.run import Story

folder, python, *trained = sys.argv[1:]
Story(Path(folder).resolve(), python, Path(trained[0]) if trained else None).run()
