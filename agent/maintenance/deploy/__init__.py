"""Deployment: a new model is verified, tried beside the running one, used, monitored, kept or returned."""
