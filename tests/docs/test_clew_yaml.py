"""The example at the top of the reference of clew.yaml is one."""

from pathlib import Path

from clew_collector.config.yaml_file import load_config
from tests.docs.pages import blocks


def test_the_example_is_good_and_its_variable_is_put_in(tmp_path: Path) -> None:
    [example] = blocks("reference/clew-yaml.md", "yaml")
    (tmp_path / "clew.yaml").write_text(example)

    config = load_config(tmp_path / "clew.yaml", environ={"HOME": "/home/ada"})

    assert config.data == Path("/home/ada/clew")
    assert config.receivers.otlp_http.tls is not None
    assert not config.receivers.zipkin.enabled
