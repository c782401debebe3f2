"""What the shop sells: product pages, cached in Redis, from two instances."""
