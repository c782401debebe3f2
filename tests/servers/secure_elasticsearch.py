"""Elasticsearch with security on and TLS on HTTP: one node, and a user who may do everything."""

import base64
import hashlib
import os
import ssl
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import elasticsearch
from tests.servers.elastic_node import HEALTH, Distribution, Node, installed
from tests.servers.missing import ServerMissingError
from tests.servers.processes import temporary_folder

ADMIN = ("admin", "correct horse")
_ITERATIONS = 1_000
_SETTINGS = """\
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: node.crt
xpack.security.http.ssl.key: node.key
"""
_PLUGIN = Path(__file__).with_name("EmailAnalysis.java")
_DESCRIPTOR = """\
name=email-analysis
description=names that the index of users asks for
version=1
classname=EmailAnalysis
elasticsearch.version={version}
java.version={java}
"""


class SecureElasticsearch:
    """One that runs; `client` is its administrator's."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self.url = url
        self.client = client

    def api_key(self, *, cluster: list[str], indices: list[str]) -> str:
        """A new key that has these privileges in the cluster and on all indices, in Base64."""
        role = {"cluster": cluster, "index": [{"names": ["*"], "privileges": indices}]}
        body: dict[str, Any] = {"name": "clew", "role_descriptors": {"clew": role}}
        answer = self.client.post("/_security/api_key", json=body, timeout=60)
        answer.raise_for_status()
        return str(answer.json()["encoded"])


@contextmanager
def start(*, certificate: Path, key: Path, ca: Path) -> Iterator[SecureElasticsearch]:
    """An empty Elasticsearch with a certificate that `ca` signed, from when it answers. Raises `ServerMissingError`."""
    distribution = elasticsearch.newest()
    files = {"node.crt": certificate.read_bytes(), "node.key": key.read_bytes(), **_users()}
    with (
        installed(distribution, scheme="https", settings=_SETTINGS, files=files) as node,
        httpx.Client(verify=ssl.create_default_context(cafile=ca), auth=ADMIN, base_url=node.url) as client,
    ):
        _add_plugin(node, distribution)
        with node.running(is_ready=lambda: _answers(client)):
            yield SecureElasticsearch(node.url, client)


def _users() -> Mapping[str, bytes]:
    """The files of the file realm (Elasticsearch's manual, "File-based user authentication")."""
    name, password = ADMIN
    salt = os.urandom(32)
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, dklen=32)
    parts = (str(_ITERATIONS), base64.b64encode(salt).decode(), base64.b64encode(hashed).decode())
    return {"users": f"{name}:{{PBKDF2}}{'$'.join(parts)}\n".encode(), "users_roles": f"superuser:{name}\n".encode()}


def _add_plugin(node: Node, distribution: Distribution) -> None:
    module = node.home / "modules" / "email-analysis"
    module.mkdir()
    version, java = distribution.artifact.version, distribution.javas.start
    (module / "plugin-descriptor.properties").write_text(_DESCRIPTOR.format(version=version, java=java))
    compiler = node.java_home / "bin" / "javac"
    if not compiler.exists():
        raise ServerMissingError(f"an Elasticsearch with API keys needs a JDK, and {node.java_home} has no javac")
    with temporary_folder("plugin") as made, zipfile.ZipFile(module / "email-analysis.jar", "w") as jar:
        command = [str(compiler), "--release", str(java), "-cp", f"{node.home}/lib/*", "-d", str(made), str(_PLUGIN)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServerMissingError(f"{_PLUGIN.name} cannot be compiled: {done.stderr.strip()[-300:]}")
        for path in made.glob("*.class"):
            jar.write(path, path.name)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get(HEALTH).status_code == 200
    except httpx.HTTPError:
        return False
