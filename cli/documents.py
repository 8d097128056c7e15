"""YAML files as people write them: a date is what is written there, and nothing is said twice."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


class Unreadable(Exception):
    """A file that cannot be read; the message names it and says why."""


class _Loader(yaml.SafeLoader):
    """Dates stay text, for whoever needs one to say what is wrong with it; 22:00 is no number, nor is 013."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


LEFT_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int"}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in LEFT_AS_TEXT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9_]*)$"), list("-+0123456789"))


def read_document(file: Path) -> Any:
    """What a file says. Raises Unreadable."""
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 it is a SafeLoader
    except UnicodeDecodeError:
        raise Unreadable(f"{file.name} is not UTF-8: save it so") from None
    except yaml.constructor.ConstructorError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Unreadable(f"{file.name}{line}: {error.problem}") from None
    except RecursionError:
        raise Unreadable(f"{file.name} is nested too deeply to be read") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"{file.name} is not YAML: {error}") from None
