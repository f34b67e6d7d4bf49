"""mediaconv: convolution stacks, standard and causal, over sound, images and film.

`mediaconv.nn` holds the layers and is useful alone; the command line is in `mediaconv.cli`.
Importing this package does not import torch.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
