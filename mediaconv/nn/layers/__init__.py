"""The layers that stream, a file a family."""
