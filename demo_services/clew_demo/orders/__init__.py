"""The orders service: turns a basket into a paid order, or into nothing at all."""
