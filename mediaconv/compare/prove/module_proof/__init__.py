"""Whether a module's outputs read later inputs, and which of its layers reads them."""
