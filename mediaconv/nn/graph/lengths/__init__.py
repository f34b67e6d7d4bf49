"""For which lengths of its input a capture holds, and what is said of the others."""
