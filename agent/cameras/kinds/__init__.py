"""The kinds of cameras, one module each, with what they share to read FFmpeg and GStreamer."""
