"""Faults that can be planted in the running shop, each with its ground truth: what is wrong, where, since when."""
