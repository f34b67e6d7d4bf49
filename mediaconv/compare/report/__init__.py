"""A comparison written down: pages, tables, JSON."""
