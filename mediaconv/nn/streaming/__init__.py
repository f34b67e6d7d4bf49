"""Streams: windows, queues, state, and resets by item."""
