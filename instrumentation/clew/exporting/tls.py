"""How the collector's certificate is checked."""

import ssl

from clew.settings import Settings


def tls_context(settings: Settings) -> ssl.SSLContext:
    """What the collector's certificate is checked against. Raises `ValueError` for a file that has none."""
    try:
        return ssl.create_default_context(cafile=settings.certificate)
    except OSError as error:
        wanted = "certificate must be a file with certificates in PEM"
        raise ValueError(f"clew.configure: {wanted}, got {settings.certificate!r} ({error})") from None
