"""Evaluation of detectors on labelled images, in numpy alone; figures equal Ultralytics' `val`."""
