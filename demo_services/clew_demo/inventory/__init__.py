"""The inventory service: products, stock, reservations and gift boxes."""
