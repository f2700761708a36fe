"""One file a job; each function is a command of `edgecap`."""
