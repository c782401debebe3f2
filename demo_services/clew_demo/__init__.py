"""A shop of small services, observed end to end with clew.

    traffic -> gateway -+-> accounts                    tokens, points
                        +-> catalog, catalog-2 -> pricing
                        +-> recommendations
                        +-> inventory                   stock, over gRPC
                        `-> orders -+-> inventory
                                    `-> payments -> fraud, two card providers

    orders ~~> shipping -> warehouse                    ~~> is a message, through RabbitMQ or Redis
           ~~> accounts
           ~~> notifications ~~> orders

Each service is a process with an SQLite file of its own: `python -m clew_demo.gateway` and so on; `clew_demo.system`
lists them all, and `clew demo` runs them. All that clew needs of a service is `clew.configure(...)` in its `__main__`
and `clew.instrument(app)` around its app; `clew_demo.sqlite` shows how to add spans of one's own.

Four neighbours do without clew, as neighbours do: warehouse writes plain lines to a file, fraud sends syslog,
recommendations uses OpenTelemetry, pricing reports to Zipkin. `control` is a page on which faults are planted: what
each of them breaks, and where, is in `clew_demo.faults.catalogue`.
"""
