"""Java installations of this machine."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def java_homes() -> tuple[tuple[int, Path], ...]:
    """Major version and home of each Java found, the newest first."""
    candidates = [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path).resolve().parents[1])
    found: dict[int, Path] = {}
    for home in candidates:
        version = _major_version(home / "bin" / "java")
        if version is not None:
            found.setdefault(version, home)
    return tuple(sorted(found.items(), reverse=True))


def _major_version(java: Path) -> int | None:
    if not java.exists():
        return None
    told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60).stderr
    match = re.search(r'version "(\d+)', told)
    return int(match.group(1)) if match else None
