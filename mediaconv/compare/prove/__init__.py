"""Whether outputs read later inputs: of a configuration (here), a module, a function; and what rounds."""
