"""Two outputs of one input, and every number that tells them apart."""
