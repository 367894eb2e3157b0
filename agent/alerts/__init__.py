"""Alerts: observations in, alerts out; the rules, the state machine, the words and people's controls. Pure.

`rules.compile_rules` makes rules of settings, `engine.AlertEngine.step` judges observations by them.
"""
