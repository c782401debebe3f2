"""What the ways out do with a backlog: as fast as the load generator writing to the same server, or not.

The spool is filled beforehand and a process of clew's ships it; the load generator writes the same records, encoded
long before. Both feed one warm server, in rounds that take turns.
"""
