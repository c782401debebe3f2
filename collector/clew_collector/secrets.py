"""Values that nobody is shown: passwords, salts, keys."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import PlainSerializer, SecretStr, SerializationInfo

MASK: Final = "**********"
REVEALED: Final[Mapping[str, bool]] = {"reveals_secrets": True}
"""The serialization context in which secrets are written out: from one process of ours to the next, nowhere else."""


def _shown(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if (info.context or {}).get("reveals_secrets") else MASK


Secret = Annotated[SecretStr, PlainSerializer(_shown, return_type=str)]
"""A setting that is masked wherever a configuration is shown."""
