"""One script a claim: each runs clew and a peer in the same run and prints a ratio."""
