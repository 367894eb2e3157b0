"""What exists: the service and what looks after its threads, cameras and configuration."""
