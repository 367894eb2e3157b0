"""The synthetic camera and its drawn scenes."""
