"""The one conversion loop: a source, steps, sinks or observers."""
