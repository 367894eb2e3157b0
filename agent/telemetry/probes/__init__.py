"""The probes: the host, NVIDIA GPUs through NVML, Jetsons through sysfs."""
