"""The servers that the shop shares: a broker for its messages, and a Redis."""
