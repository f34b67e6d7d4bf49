"""Each figure that the README states, measured on the spot beside what it is compared with."""
