"""From decoded frames to values: the shown rectangle, fields, colours, planes."""
