"""What a run computes: a stack with its weights, made from a configuration and bound to an input."""
