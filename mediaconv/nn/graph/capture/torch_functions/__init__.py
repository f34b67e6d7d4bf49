"""Functions of torch's that others stand in for while a model is captured."""
