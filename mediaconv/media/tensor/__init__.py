"""Raw tensors as files."""
