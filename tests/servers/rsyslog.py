"""rsyslog, with what it needs for TLS."""

import shutil
from pathlib import Path

from tests.servers import debian
from tests.servers.missing import ServerMissingError
from tests.servers.syslog_daemon import SyslogDaemon

PACKAGES = ("rsyslog", "rsyslog-openssl")
_TAKES = 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")\n'
_ARGUMENTS = ("-n", "-f", "{folder}/conf", "-i", "{folder}/pid")


def fetched() -> Path:
    """The folder with Debian's packages, fetched if they are not there. Raises `ServerMissingError`."""
    return debian.unpacked(*PACKAGES)


def find() -> SyslogDaemon:
    """Debian's, else what is installed. Raises `ServerMissingError`."""
    try:
        root = fetched()
    except ServerMissingError as error:
        executable = shutil.which("rsyslogd")
        if executable is None:
            raise ServerMissingError(f"rsyslogd is not installed; {error}") from error
        return SyslogDaemon(name="rsyslog", argv=[executable, *_ARGUMENTS], takes=_TAKES)
    modules = next(root.rglob("imudp.so")).parent
    return SyslogDaemon(
        name="rsyslog",
        argv=[str(root / "usr/sbin/rsyslogd"), "-M", str(modules), *_ARGUMENTS],
        takes=_TAKES,
        env={"LD_LIBRARY_PATH": debian.libraries(root)},
    )
