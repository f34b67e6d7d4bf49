"""A folder of work."""
