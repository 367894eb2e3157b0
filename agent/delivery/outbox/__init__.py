"""The outbox: messages kept on disk until the broker has acknowledged them."""
