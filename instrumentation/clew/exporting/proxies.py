"""The HTTP proxy that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, as for `requests`."""

import os
from urllib.parse import SplitResult, urlsplit

from clew.exporting.endpoints import is_loopback


def proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy to reach this address by; None for none. What is no HTTP proxy is ignored."""
    host = url.hostname or ""
    if is_loopback(host) or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # Takes its time to import, and knows all about upper and lower case, CGI and the forms of NO_PROXY.
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named or proxy_bypass_environment(f"{host}:{url.port or ''}".rstrip(":"), proxies):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    return proxy if proxy.scheme == "http" and proxy.hostname and _has_port(proxy) else None


def _has_port(url: SplitResult) -> bool:
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False
