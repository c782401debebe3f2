"""Places that keep records and can be asked about them."""
