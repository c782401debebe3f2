"""The gateway: the one service that the outside talks to."""
