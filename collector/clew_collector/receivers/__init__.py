"""Receivers: the network side of taking records in."""
