"""Operators that carry something from step to step: recurrent layers, loops, and sequences of tensors."""
