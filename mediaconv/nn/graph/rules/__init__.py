"""What each operation of a captured model does to the stream: a rule an operation, in files by what moves."""
