"""Camera health by content on real videos in changing worlds."""
