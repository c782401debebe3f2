"""Elasticsearch: data streams of ECS documents, each written once.

`config` is light. `sink` needs elastic_transport, which comes with the package elasticsearch: import it where one is
configured.
"""
