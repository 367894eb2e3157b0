"""A subscriber that shows devices in the terminal: it reads what is published, and the agent never imports it."""
