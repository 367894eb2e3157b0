"""The agent's log: lines, priorities, fields; journald; repeats held back."""
