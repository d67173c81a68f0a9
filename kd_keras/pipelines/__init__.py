"""The same files made by many processes, on this machine or on a cluster."""
