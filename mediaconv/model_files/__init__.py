"""Models from files of strangers, `.onnx` and `.pt2`, as torch modules. Nothing in a file is executed.

How such a module streams is `mediaconv.nn.graph`'s business.
"""

OTHER_PRECISION = "the model's weights are not float32: it is computed in the run's own precision"
"""A note to the user of a model in 16 or 64 bits."""
