"""Log lines: stamped with the request's IDs where they are written, and queued for the collector."""
