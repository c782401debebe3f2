"""The warehouse: an old service on the standard library, whose plain-text log file is all that is seen of it."""
