"""A convolution sliding over its input, as data: what every output multiplies. Draws nothing."""
