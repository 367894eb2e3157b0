"""References in use: recorded, kept on disk in versions, and what live windows are judged by.

A camera's folder `references/CAMERA/` under the state directory holds its versions (`*.json`), `current` (the name of
the one in force), `recording.json.gz` (one that is being recorded), `judge.json.gz` (the judge's state),
`recent.json.gz` (what was seen lately, which an operator may accept), `living.json.gz` (what waits to be taken in as
normal) and `changes.json` (who changed which one is in force).
"""
