"""A small microservice system, observed end to end with clew."""
