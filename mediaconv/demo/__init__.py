"""Lessons that a command runs."""
