"""What runs many jobs: in this process, in processes of this machine, on a cluster."""
