"""Real servers for tests: an address from the environment, a native process, or a container; else a reason why not."""
