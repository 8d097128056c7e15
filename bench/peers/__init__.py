"""What the worker is measured against, a process each: `python -m bench.peers.<name>`."""
