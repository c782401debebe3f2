"""The inventory service: stock, reservations and gift boxes, over gRPC."""
