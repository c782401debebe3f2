"""Queues and topics: where a request goes on later. One module a library, both its producing and its consuming side."""
