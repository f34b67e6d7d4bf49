"""Convolution sliding over its input, as frames, films and pages."""
