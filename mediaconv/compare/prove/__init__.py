"""Whether outputs read later inputs: by gradient, by perturbation, from file to file."""
