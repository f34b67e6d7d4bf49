"""Whole stacks against an interpreter of configurations that shares no code with the program."""
