"""What keeps a service answering while its neighbours fail: one pattern a module.

The patterns around a call are httpx transports that wrap each other: `Retrying(Breaking(TimeLimited(Balanced(...))))`.
"""
