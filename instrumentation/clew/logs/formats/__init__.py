"""The ways to write a log line: one module a format, each a pure function from a `Line` to text."""
