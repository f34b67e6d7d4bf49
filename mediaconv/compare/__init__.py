"""What causality changes, measured, proven and shown: causal against standard, or any two configurations.

causal_pair      the two configurations of a comparison
measure          numbers of two outputs side by side, streamed; events, and what comes before them
prove            whether an output reads a later input, by how much, and which layer does it
report           pages, tables and an index
compare_sides    all of it, over every input
"""
