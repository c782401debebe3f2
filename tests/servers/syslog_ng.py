"""syslog-ng, whose core has all that it needs for TLS."""

import shutil
from pathlib import Path

from tests.servers import debian
from tests.servers.missing import ServerMissingError
from tests.servers.syslog_daemon import SyslogDaemon

PACKAGES = ("syslog-ng-core",)
_TAKES = (
    "@version: 3.38\noptions { keep-hostname(yes); };\n"
    'source s_src { syslog(ip("127.0.0.1") port({port}) transport("udp")); };\n'
)
_ARGUMENTS = (
    *("--foreground", "--no-caps", "--cfgfile={folder}/conf", "--persist-file={folder}/persist"),
    *("--pidfile={folder}/pid", "--control={folder}/control"),
)


def fetched() -> Path:
    """The folder with Debian's packages, fetched if they are not there. Raises `ServerMissingError`."""
    return debian.unpacked(*PACKAGES)


def find() -> SyslogDaemon:
    """Debian's, else what is installed. Raises `ServerMissingError`."""
    try:
        root = fetched()
    except ServerMissingError as error:
        executable = shutil.which("syslog-ng")
        if executable is None:
            raise ServerMissingError(f"syslog-ng is not installed; {error}") from error
        return SyslogDaemon(name="syslog-ng", argv=[executable, *_ARGUMENTS], takes=_TAKES)
    modules = next(root.rglob("libafsocket.so")).parent
    return SyslogDaemon(
        name="syslog-ng",
        argv=[str(root / "usr/sbin/syslog-ng"), f"--module-path={modules}", *_ARGUMENTS],
        takes=_TAKES,
        env={"LD_LIBRARY_PATH": debian.libraries(root)},
    )
