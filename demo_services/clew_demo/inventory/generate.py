"""`python -m clew_demo.inventory.generate`: write the gRPC code of inventory.proto anew. Needs grpcio-tools."""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import clew_demo

PROTO = "clew_demo/inventory/inventory.proto"
ROOT = Path(clew_demo.__file__).parents[1]
HEADER = "# ruff: noqa\n# mypy: ignore-errors\n# fmt: off\n"
"""What others generate is read by no linter of ours."""


def main() -> None:
    """Put the generated modules beside inventory.proto."""
    for name, text in generate().items():
        (ROOT / PROTO).with_name(name).write_text(text)


def generate() -> dict[str, str]:
    """The generated modules, by file name. Raises `ModuleNotFoundError` without grpcio-tools."""
    protoc = import_module("grpc_tools.protoc")
    with TemporaryDirectory() as folder:
        # From the root of the package, so that what is generated imports by the package's name.
        arguments = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        if status := protoc.main(["protoc", f"-I{ROOT}", *arguments, PROTO]):
            raise SystemExit(status)
        return {path.name: HEADER + path.read_text() for path in sorted((Path(folder) / PROTO).parent.iterdir())}


if __name__ == "__main__":
    main()
