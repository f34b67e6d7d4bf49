"""One module per kind of media; read one to see a file's whole way. Installed as `mediaconv.pipelines`."""
