"""Whether outputs differ by rounding alone: the precision and the transforms of a function."""
