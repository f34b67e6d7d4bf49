"""The compute step: from a chunk of raw samples to a chunk of stored samples, through a stack, exactly.

`step` chooses between any stack in torch and, for few channels on a CPU, loops of our own. Opens no files.
"""
