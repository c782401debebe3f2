"""Reading clew.yaml: environment variables in its values, and errors that name the line.

`${NAME}` in a value is the environment variable, `${NAME:-other}` has another value for when it is not set, `$$` is a
dollar sign. They are put in after the YAML is read: a variable cannot bring structure with it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from clew_collector.config.collector import CollectorConfig
from clew_collector.config.mistakes import Place, mistakes
from clew_collector.errors import ConfigError

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<otherwise>[^}]*))?\})")
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MAX_VALUES: Final = 100_000
NOTHING: Mapping[str, Any] = {}


def load_config(
    path: Path | None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] = NOTHING
) -> CollectorConfig:
    """The configuration in a file, if there is one, under `overrides`, which are nested as the file is.

    Raises `ConfigError` that names the file, the line and what would be right, a line for each mistake.
    """
    document = _Document(path, environ)
    try:
        return CollectorConfig.model_validate(_merged(document.value, overrides))
    except ValidationError as error:
        raise ConfigError("\n".join(mistakes(error, path=path, line=document.line))) from error


class _Document:
    """A file's values, and the line of each."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = path
        self._environ = environ
        self._lines: dict[Place, int] = {(): 1}
        self._loader = yaml.SafeLoader("")
        self.value: dict[str, Any] = {}
        if path is not None:
            self.value = self._read(path)

    def line(self, place: Place) -> int:
        """The line of a value, or of the nearest one around it that is in the file."""
        while place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
            value = None if node is None else self._value(node, ())
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not UTF-8: {error}") from error
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{path}:{line}: not YAML: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        except RecursionError as error:
            raise ConfigError(f"{path}: nested too deeply") from error
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ConfigError(f"{path}:1: must be settings by name, as in `data: /var/lib/clew`")
        return value

    def _value(self, node: Node, place: Place) -> Any:
        if len(self._lines) > _MAX_VALUES:
            self._fail(node, f"more than {_MAX_VALUES} values, counted as often as an alias repeats them")
        self._lines[place] = node.start_mark.line + 1
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(cast(ScalarNode, node))

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        try:
            self._loader.flatten_mapping(node)
        except ConstructorError as error:
            self._fail(node, str(error.problem))
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                self._fail(key_node, f"{key} is there twice")
            values[key] = self._value(value_node, (*place, key))
            self._lines[*place, key] = key_node.start_mark.line + 1
        return values

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag == _TEXT_TAG and "$" in node.value:
            text = _VARIABLE.sub(lambda found: self._variable(found, node), node.value)
            is_plain = node.style is None
            tag = self._loader.resolve(ScalarNode, text, (True, False)) if is_plain else _TEXT_TAG  # type: ignore[no-untyped-call]
            node = ScalarNode(tag, text, node.start_mark, node.end_mark, node.style)
        try:
            return self._loader.construct_object(node)
        except (ConstructorError, ValueError, AttributeError) as error:  # the last for a !!timestamp that is none
            self._fail(node, f"cannot be read: {getattr(error, 'problem', error)}")

    def _variable(self, found: re.Match[str], node: Node) -> str:
        name, otherwise = found["name"], found["otherwise"]
        if name is None:
            return "$"
        value = self._environ.get(name) or otherwise
        if value is None:
            self._fail(node, f"the environment variable {name} is not set; ${{{name}:-...}} gives it a default")
        return value

    def _fail(self, node: Node, problem: str) -> NoReturn:
        raise ConfigError(f"{self.path}:{node.start_mark.line + 1}: {problem}")


def _merged(value: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for key, new in over.items():
        old = merged.get(key)
        merged[key] = _merged(old if isinstance(old, dict) else {}, new) if isinstance(new, Mapping) else new
    return merged
