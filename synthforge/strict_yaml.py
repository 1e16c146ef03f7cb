"""The YAML of the whole package, read and written: strict, bounded and without surprises.

Words and numbers are what they look like. `1e-4`, `1E5` and `.5` are numbers, `yes`, `no`, `on` and `off` are
words, and only `true` and `false` are truth values. Spellings that YAML readers disagree on (`010`, `0x10`,
`1_000`, `1:30`) are refused. A key given twice is an error, and so are aliases that expand without end.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from synthforge.errors import ConfigError

DEEPEST = 100  # levels of nesting
MOST = 200_000  # values, each alias counted as all that it stands for
_WHOLE = r"(?:0|[1-9][0-9]*)"
_EXPONENT = r"(?:[eE][-+]?[0-9]+)"
_INT = re.compile(rf"[-+]?{_WHOLE}$")
_FLOAT = re.compile(
    rf"[-+]?(?:{_WHOLE}\.[0-9]*{_EXPONENT}?|\.[0-9]+{_EXPONENT}?|{_WHOLE}{_EXPONENT}|\.(?:inf|Inf|INF))$"
    r"|\.(?:nan|NaN|NAN)$"
)
_UNCLEAR = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+"  # bases
    r"|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # sixties
    r"|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?)$"  # leading zeros and underscores: all else is above
)
_TAG, _UNCLEAR_TAG = "tag:yaml.org,2002:", "!unclear"
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML has it


class _Refused(yaml.constructor.ConstructorError):
    """Valid YAML that breaks a rule of this module."""

    def __init__(self, what: str, node: yaml.Node):
        super().__init__(None, None, what, node.start_mark)


class _Loader(_Fast):  # pyright: ignore[reportGeneralTypeIssues] (one of two classes)
    """Safe YAML with the rules of this module."""

    yaml_implicit_resolvers: dict = {}

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _expanded(node, {}, 0) > MOST:
            raise _Refused(f"holds more than {MOST:,} values", node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused("a key must be a word or a number", key_node)
            key = key_node.value if key_node.tag == _TAG + "merge" else self.construct_object(key_node)
            if key in seen:
                raise _Refused(f"key {key!r} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A whole or a decimal number, also where a tag says that it is one."""
        text = self.construct_scalar(node)
        if _INT.match(text) and len(text) <= 300:
            return int(text)
        if _FLOAT.match(text):
            value = float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
            if not math.isinf(value) or "inf" in text.lower():
                return value
        raise _Refused(f"{text[:40]} is no number that can be kept", node)

    def unclear(self, node: yaml.ScalarNode) -> Any:
        what = f'{node.value} can be read in two ways; write a plain number, or "{node.value}" for a word'
        raise _Refused(what, node)


_Loader.add_constructor(_TAG + "int", _Loader.number)
_Loader.add_constructor(_TAG + "float", _Loader.number)
_Loader.add_constructor(_UNCLEAR_TAG, _Loader.unclear)
_DIGITS = list("-+.0123456789")
for _tag, _pattern, _first in (
    (_TAG + "int", _INT, _DIGITS),
    (_TAG + "float", _FLOAT, _DIGITS),
    (_UNCLEAR_TAG, _UNCLEAR, _DIGITS),
    (_TAG + "bool", re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    (_TAG + "null", re.compile("(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    (_TAG + "merge", re.compile("<<$"), ["<"]),
):
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


class _Dumper(yaml.SafeDumper):
    """Quotes words that this module, or another reader of YAML, would take for something else."""


_Dumper.add_implicit_resolver(_TAG + "float", _FLOAT, _DIGITS)
_Dumper.add_implicit_resolver(_UNCLEAR_TAG, _UNCLEAR, _DIGITS)


def _expanded(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """Values that a node stands for, with its aliases expanded; each node is looked at once."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if depth > DEEPEST:  # also where a value holds itself
        raise _Refused(f"is nested more than {DEEPEST} levels deep", node)
    if id(node) not in sizes:
        pairs = isinstance(node, yaml.MappingNode)
        children = [child for pair in node.value for child in pair] if pairs else node.value
        sizes[id(node)] = 1 + sum(_expanded(child, sizes, depth + 1) for child in children)
    return sizes[id(node)]


def parse(text: str, where: str) -> Any:
    """Plain data (dicts, lists, words, numbers) of a YAML text.

    Raises:
        ConfigError: it is no YAML, or one of the rules above is broken; says the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark, reason = error.problem_mark, error.problem or error.context
        place = f"line {mark.line + 1}: " if mark is not None and "\n" in text.strip() else ""
        what = f"{place}{reason}" if isinstance(error, _Refused) else f"is not valid YAML ({place}{reason})"
        raise ConfigError(what, where=where) from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"is not valid YAML ({reason})", where=where) from error


def read(path: Path) -> Any:
    """Plain data of a YAML file.

    Raises:
        ConfigError: it cannot be read, or see `parse`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not valid YAML ({error})", where=str(path)) from error
    return parse(text, str(path))


def to_text(plain: Any) -> str:
    """YAML text that `parse`, and any other YAML reader, reads back to the same data."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def to_line(plain: Any) -> str:
    """The same in one line, as it may stand behind a key."""
    text = yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**9
    )
    return text.removesuffix("\n").removesuffix("\n...")
