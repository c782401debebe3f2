"""What instrumentation costs its host: clew beside its peers, each in a virtual environment of its own."""
