"""Messages between the shop's services: each is delivered at least once, and has its effect exactly once."""
