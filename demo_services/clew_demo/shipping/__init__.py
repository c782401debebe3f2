"""Shipping: listens to what happens to orders and does its part; nobody calls it."""
