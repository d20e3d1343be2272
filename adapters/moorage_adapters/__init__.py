"""The host's own technology, behind the ports."""
