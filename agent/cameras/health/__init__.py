"""Camera health: judges the frames of a camera by content, frame rate and time stamps."""
