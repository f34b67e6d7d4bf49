"""What a run has to do, a job an input, and one job done."""
