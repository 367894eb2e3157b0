"""The dashboard in the browser: a collector, its history on disk, and a server of pages, curves and live changes."""
