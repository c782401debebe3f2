"""Pricing: a service that was traced with Zipkin before there was anything else, and still is."""
