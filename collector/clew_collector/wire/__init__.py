"""Wire formats: bytes to Arrow batches and SQL over them, as pure functions."""
