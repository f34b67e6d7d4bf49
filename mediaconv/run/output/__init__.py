"""An output folder: its names, its lock, its temporary files, other storage."""
