"""Questions to a module: shapes, cost, memory, what its outputs read."""
