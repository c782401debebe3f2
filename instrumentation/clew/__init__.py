"""Correlation IDs, traces and logs for Python services."""
