"""One module a command of `clew`."""
