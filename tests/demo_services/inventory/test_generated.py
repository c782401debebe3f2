from pathlib import Path

import pytest

from clew_demo.inventory import generate, inventory_pb2


def test_what_is_committed_is_what_inventory_proto_generates() -> None:
    pytest.importorskip("grpc_tools")
    folder = Path(inventory_pb2.__file__).parent

    generated = generate.generate()

    assert set(generated) == {"inventory_pb2.py", "inventory_pb2.pyi", "inventory_pb2_grpc.py"}
    for name, text in generated.items():
        assert (folder / name).read_text() == text, f"{name}: run `python -m clew_demo.inventory.generate`"
