"""The I/O adapters: sound, images, film and raw tensors, as numpy arrays with channels last.

This package alone opens media files. It knows nothing of torch modules or of YAML.
"""
