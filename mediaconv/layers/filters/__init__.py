"""The well-known kernels by name: options, numbers, and how they fill a weight."""
