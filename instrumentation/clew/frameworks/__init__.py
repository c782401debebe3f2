"""Server frameworks: where a request comes in. One module a framework."""
