"""A sliding convolution as a scene: one panel a layer, in 1D, 2D and 3D."""
