"""Evidently's data drift report of folders that `vedette export --for evidently` wrote, an HTML file for each camera.

pip install 'evidently>=0.7' 'pandas<3'
python evidently_report.py drift
"""

import sys
from pathlib import Path

import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def read(path):
    """A table of the export, CSV or Parquet."""
    parquet = path.with_suffix(".parquet")
    return pandas.read_parquet(parquet) if parquet.exists() else pandas.read_csv(path.with_suffix(".csv"))


def compared(reference, current):
    """Evidently's report of one camera, over the features that both times have."""
    features = [name for name in current.columns if name.startswith("feature_")]
    features = [
        name for name in features if current[name].notna().sum() > 9 and reference[name].notna().sum() > 9
    ]
    definition = DataDefinition(numerical_columns=features)
    before, now = (
        Dataset.from_pandas(table[features], data_definition=definition) for table in (reference, current)
    )
    return Report([DataDriftPreset()]).run(now, before)


def drifted(report):
    """The share of columns that Evidently calls drifted, and the text of each of its column metrics."""
    metrics = report.dict()["metrics"]
    (share,) = [
        one["value"]["share"] for one in metrics if one["metric_name"].startswith("DriftedColumnsCount")
    ]
    return share


for folder in map(Path, sys.argv[1:]):
    reference, current = read(folder / "reference"), read(folder / "current")
    for camera, now in current.groupby("camera"):
        report = compared(reference[reference.camera == camera], now)
        report.save_html(str(folder / f"{camera}.html"))
        share = drifted(report)
        verdict = "dataset drift" if share >= 0.5 else "no dataset drift"
        print(f"{folder.name}, camera {camera}: {share:.0%} of the features drifted, {verdict}")
