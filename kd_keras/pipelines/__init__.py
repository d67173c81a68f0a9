"""Makes the same files with many processes, on this machine or on a cluster."""
