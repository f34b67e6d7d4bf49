"""What a user is told of a run."""
