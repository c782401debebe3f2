"""Pure functions from records to what a template shows: no store, no clock, no HTML."""
