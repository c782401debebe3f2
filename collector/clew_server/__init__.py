"""The composition root: wires collector and dashboards into processes and commands."""
