"""Any module made to stream: captured by torch.export, each operation a step, checked against itself."""
