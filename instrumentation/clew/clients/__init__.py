"""Client libraries: where a request goes on to another service. One module a library."""
