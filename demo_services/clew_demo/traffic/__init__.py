"""Customers of the demo shop. They stand outside: clew is not in here."""
