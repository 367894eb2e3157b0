"""Tools for models (`vedette model`): prepare, embed, rewrite, compare. Never imported by a running agent."""
