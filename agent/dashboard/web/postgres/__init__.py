"""The history in PostgreSQL, where one machine is not enough: several collectors write it, several dashboards read."""
