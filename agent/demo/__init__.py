"""The demo: a broker of its own, drawn cameras, the model that ships, and an incident to watch."""
