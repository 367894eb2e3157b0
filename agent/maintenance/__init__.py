"""Maintenance: evaluation, golden check, samples, training and deployment of models."""
