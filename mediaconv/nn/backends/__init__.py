"""Which algorithm computes a convolution, and the memory it works in."""
