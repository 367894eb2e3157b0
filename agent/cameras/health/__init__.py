"""Whether a camera's frames can be believed: by content, by rate and by time stamps."""
