"""A small microservice system, observed end to end with clew.

    traffic -> gateway -> orders -> inventory
                 |           `----> payments -> card provider
                 `-----------------> inventory

Each service is a process with an SQLite file of its own: `python -m clew_demo.gateway`, `.orders`, `.inventory` and
`.payments`, then `python -m clew_demo.traffic`. All that clew needs of a service is `clew.configure(...)` in its
`__main__` and `clew.instrument(app)` in `clew_demo.serving`; `clew_demo.sqlite` shows how to add spans of one's own.
"""
