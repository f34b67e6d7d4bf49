"""The streaming step as a function of fixed shapes: a chunk and the state in, outputs and the state out."""
