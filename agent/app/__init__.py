"""The running agent: the service and what manages its threads, cameras and configuration."""
