"""Models from files of strangers, `.onnx` and `.pt2`, as torch modules. Nothing in a file is executed.

How such a module streams is `mediaconv.nn.graph`'s business.
"""
