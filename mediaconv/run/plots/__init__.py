"""One figure of an input and its outputs: gathered while the file is converted, drawn when it is done."""
