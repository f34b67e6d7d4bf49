"""A way in: what a file is, a first configuration for it, what this installation can do."""
