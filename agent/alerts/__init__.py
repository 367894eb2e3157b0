"""Alerts: observations in, alerts out; rules, state machine, sentences and people's controls. Pure.

`rules.compile_rules` compiles rules from settings, `engine.AlertEngine.step` evaluates them on observations.
Rule functions (`rate`, `absent`, ...) are the files of `evaluators`; `runtime` is what runs the engine.
"""
