"""Sinks: places that records are sent on to, and that cannot be asked by the pages."""
