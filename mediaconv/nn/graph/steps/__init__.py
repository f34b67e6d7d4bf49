"""What runs when a chunk of a captured graph comes: one step a node, and which of them run."""
