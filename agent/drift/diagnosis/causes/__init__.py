"""Causes of drift, one file each: what a fault does to an image, in words and as a function."""
