"""Deployment: a new model is verified, tried beside the running one, put in force, watched, kept or returned."""
