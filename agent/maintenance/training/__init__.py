"""Training of a better model by Ultralytics, in an interpreter of its own: torch is none of the agent's libraries."""
