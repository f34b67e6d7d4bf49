"""What causality changes, measured, proven and shown: causal against standard, or any two configurations.

metrics, align, envelope   numbers of two outputs side by side, streamed
events, preecho            where something happens in the input, and what reacts before it
probe, blame, prove        whether an output reads a later input, by how much, and which layer does it
session, report            a file compared, and the page that shows it
forecast                   the lesson: a model that predicts day five must not have seen day six
"""
