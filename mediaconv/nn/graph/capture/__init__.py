"""A module as a graph of torch operations, by `torch.export`: what stands in its way, and why it fails."""
