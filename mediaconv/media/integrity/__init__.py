"""Whether a file is whole, told from its own structure."""
