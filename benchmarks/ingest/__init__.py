"""What the way in does with a load: how much can be asked for, how soon it is acknowledged, and beside whom.

Every system is given the same records by the same load generator, in rounds that take turns.
"""
