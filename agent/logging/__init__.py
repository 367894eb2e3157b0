"""The agent's log: lines, priorities, fields; journald; rate limit of equal lines."""
