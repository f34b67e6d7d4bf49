"""Film files, read and written."""
