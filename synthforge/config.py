"""Strict YAML -> frozen dataclasses: unknown keys, wrong types and bad values fail in one line.

A class is read by its fields, unless it has `from_plain(data, where)` and reads itself. What reads itself is
one value, as a distribution is, unless `plain_keys(data)` names its keys and their types. `KIND` of a class
is the folder below `configs/` that holds its named configurations. `more_keys(data)` are full names of keys
that its tables may have besides.
"""

import dataclasses
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from synthforge import strict_yaml
from synthforge.errors import ConfigError, nearest, one_of

T = TypeVar("T")
_CHECKOUT = Path(__file__).resolve().parents[1] / "configs"
_PACKAGED = Path(__file__).resolve().parent / "configs"


def named_configs(kind: str) -> dict[str, Path]:
    """Configurations that ship with synthforge, by name.

    Args:
        kind: folder below `configs/`: `generate`, `train`, ...
    """
    folder = (_CHECKOUT if _CHECKOUT.is_dir() else _PACKAGED) / kind
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def config_path(kind: str, name_or_path: str) -> Path:
    """Path of a configuration given by name (`paper`) or path.

    Args:
        kind: as in `named_configs`.
        name_or_path: a file, or the name of one that ships with synthforge.
    Raises:
        ConfigError: neither exists; the message lists the names that ship.
    """
    if (path := Path(name_or_path)).is_file():
        return path
    named = named_configs(kind)
    if name_or_path in named:
        return named[name_or_path]
    fix = f"give a YAML file or {one_of(name_or_path, named)}"
    raise ConfigError(f"no such file or name: {name_or_path!r}", where="--config", fix=fix)


def load_config(cls: type[T], path: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file (or nothing: all defaults) into dataclass `cls`, then apply `KEY=VALUE`.

    `base:` in the file names what it is laid over (see `read_plain`); of a key in `overrides` the last parts
    are enough, where only one key ends in them.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong.
    """
    data, where = ({}, "configuration") if path is None else (read_plain(cls, path), str(path))
    if overrides:
        from_dict(cls, data, where)  # the file's own mistakes are named first
        where = "command line"
    for override in overrides:
        data = _override(cls, data, override)
    return from_dict(cls, data, where)


def read_plain(cls: type, path: Path, above: tuple[Path, ...] = ()) -> dict:
    """Keys and values of a YAML file for `cls`, laid over those of its `base:`.

    Args:
        above: files whose base this one is.
    Raises:
        ConfigError: the file cannot be read, its base is unknown, or bases go round in a circle.
    """
    data = strict_yaml.read(path)
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ConfigError(f"expected keys and values, got {data!r}", where=str(path))
    if (base := data.pop("base", None)) is None:
        return data
    where = f"{path}: base"
    if not isinstance(base, str):
        raise ConfigError(f"expected the name of a configuration or a file, got {base!r}", where=where)
    named = named_configs(getattr(cls, "KIND", "none"))
    base_path = beside if (beside := path.parent / base).is_file() else named.get(base)
    if base_path is None:
        fix = f"give a file beside this one or {one_of(base, named)}"
        raise ConfigError(f"no such file or name: {base!r}", where=where, fix=fix)
    above = (*above, path.resolve())
    if base_path.resolve() in above:
        circle = " -> ".join(p.name for p in (*above, base_path))
        raise ConfigError(f"these files name each other: {circle}", where=where, fix="take one base out")
    below = read_plain(cls, base_path, above)
    from_dict(cls, below, str(base_path))  # its own mistakes are named as its own
    return laid_over(cls, below, data)


def left_at_defaults(cls: type, path: Path, reference: str = "default", shown: int = 4) -> str:
    """What a file without `base:` leaves at another value than the named configuration `reference` has.

    Returns:
        One line; nothing where the file has a base, ships with synthforge, or leaves nothing.
    """
    named = named_configs(cls.KIND)
    plain = strict_yaml.read(path)
    if reference not in named or path in named.values() or (plain is not None and "base" in plain):
        return ""
    own, other = (dict(_settings(cls, to_dict(load_config(cls, p)))) for p in (path, named[reference]))
    given = dict(_settings(cls, plain or {}))
    left = [key for key in other if key not in given and own.get(key) != other[key]]
    if not left:
        return ""
    left.sort(key=lambda key: not isinstance(other[key], tuple))  # tables first
    parts = [f"{key} ({_short(own.get(key))})" for key in left[:shown]]
    parts += [f"{len(left) - shown} more"] if len(left) > shown else []
    what = f"names no base and leaves as they are: {', '.join(parts)}"
    return f"{what}; `base: {reference}` would take {reference}'s"


def _settings(cls: Any, data: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(full key, value) of every setting; of a table with entries by name, the names that it has."""
    for key, hint in (_inside(cls, data) or {}).items():
        if key in data:
            inside = _inside(hint, data[key])
            if inside is None or not isinstance(data[key], dict):
                yield f"{prefix}{key}", data[key]
            elif typing.get_origin(_not_none(hint)) is dict:
                yield f"{prefix}{key}", tuple(data[key])
            else:
                yield from _settings(hint, data[key], f"{prefix}{key}.")


def _short(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, tuple):
        return ", ".join(value[:3]) + (f" and {len(value) - 3} more" if len(value) > 3 else "") or "none"
    return strict_yaml.to_line(value)


def laid_over(cls: Any, below: Any, above: Any) -> Any:
    """Plain data `above` over plain data `below`, both for type `cls`.

    Keys of dataclasses and entries by name are merged, at every depth. All else is replaced whole: numbers,
    words, lists, and what reads itself, such as a distribution. `null` takes an entry by name out. A class
    may have its own `laid_over`.
    """
    if hasattr(cls, "laid_over"):
        return cls.laid_over(below, above)
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    inside = _inside(cls, below | above)
    if inside is None:
        return above
    merged = below | {
        key: laid_over(inside[key], below[key], value) if key in below and key in inside else value
        for key, value in above.items()
    }
    by_name = typing.get_origin(_not_none(cls)) is dict
    return {key: value for key, value in merged.items() if not (by_name and value is None)}


@cache
def _fields(cls: type) -> dict[str, Any]:
    """Fields of a dataclass and their types."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _inside(hint: Any, data: Any, known: Collection[str] = ()) -> dict[str, Any] | None:
    """Keys in a value of type `hint` and their types; None where it is one value.

    Args:
        known: of a table with entries by name, those that may be added to the ones in `data`.
    """
    data = data if isinstance(data, dict) else {}
    hint = _not_none(hint)
    if hasattr(hint, "plain_keys"):
        return hint.plain_keys(data)
    if dataclasses.is_dataclass(hint) and not hasattr(hint, "from_plain"):
        return _fields(hint)
    if typing.get_origin(hint) is dict:
        return dict.fromkeys([*data, *known], typing.get_args(hint)[1])
    return None


def _not_none(hint: Any) -> Any:
    """`X` of the type `X | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None))
    return hint


def all_keys(hint: Any, data: Any, known: Collection[str] = (), prefix: str = "") -> Iterator[str]:
    """Every key of a configuration by its full name (`scene.attributes.age`), those of `data` included.

    A field's metadata may name entries that its table knows (`known`).
    """
    data, cls = data if isinstance(data, dict) else {}, _not_none(hint)
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    tables = {f.name: f.metadata.get("known", ()) for f in fields}
    for key, inner in (_inside(cls, data, known) or {}).items():
        yield f"{prefix}{key}"
        yield from all_keys(inner, data.get(key), tables.get(key, ()), f"{prefix}{key}.")


def _override(cls: type, data: dict, override: str) -> dict:
    """`data` with `KEY=VALUE` set."""
    key, sep, text = override.partition("=")
    if not sep or not key:
        raise ConfigError(f"expected KEY=VALUE, got {override!r}", where="--set", fix="for example seed=3")
    value = strict_yaml.parse(text, f"--set {key}")
    return _with(data, find_key(cls, data, key).split("."), value)


def _with(data: Any, path: Sequence[str], value: Any) -> dict:
    """`data` with a value at a path of keys; nothing is changed in place, for aliases share their parts."""
    first, *rest = path
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ConfigError(f"{data!r} is a value and has no keys", where=f"--set {'.'.join(path)}")
    return data | {first: _with(data.get(first), rest, value) if rest else value}


def find_key(cls: type, data: dict, key: str) -> str:
    """The full name of the one key that ends in `key`.

    Raises:
        ConfigError: there is none (the message names the nearest), or there are several.
    """
    more = getattr(cls, "more_keys", lambda data: ())
    keys = list(dict.fromkeys([*all_keys(cls, data), *more(data)]))
    found = [key] if key in keys else [name for name in keys if name.endswith(f".{key}")]
    if len(found) == 1 or _may_be_new(cls, data, key):
        return found[0] if found else key
    if found:
        what = f"{key!r} may be any of {', '.join(found)}"
        raise ConfigError(what, where="--set", fix="write one of them whole")
    names = {name.rsplit(".", 1)[-1]: name for name in reversed(keys)} | {name: name for name in keys}
    if near := get_close_matches(key, names, 1):
        fix = f"did you mean {names[near[0]]!r}?"
    else:
        fix = f"known keys: {', '.join(_inside(cls, data) or ())}"
    raise ConfigError(f"unknown key {key!r}", where="--set", fix=fix)


def _may_be_new(cls: type, data: Any, key: str) -> bool:
    """Whether `key` is the full name of a new entry of a table, or of a part of a value that has parts."""
    hint: Any = cls
    for parent in key.split(".")[:-1]:
        inside = _inside(hint, data)
        data = data.get(parent) if isinstance(data, dict) else None
        if inside is None:
            hint = None
        elif parent in inside:
            hint = inside[parent]
        else:
            return False
    if _inside(hint, data) is None:
        return isinstance(data, dict)
    return typing.get_origin(_not_none(hint)) is dict


def from_dict(cls: type[T], data: dict, where: str) -> T:
    """Dataclass from plain data; a class with `from_plain(data, where)` reads itself."""
    own: Any = getattr(cls, "from_plain", None)
    return own(data, where) if own else read_fields(cls, data, where)


def read_fields(cls: type[T], data: dict, where: str) -> T:
    """Dataclass from plain data, field by field."""
    values = read_keys(_fields(cls), data, where)
    missing = [
        f.name
        for f in dataclasses.fields(cast(Any, cls))
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"key {missing[0]!r} is missing", where=where)
    with located(where):
        return cls(**values)


def read_keys(hints: Mapping[str, Any], data: dict, where: str) -> dict[str, Any]:
    """Values of plain data as the types of their keys.

    Raises:
        ConfigError: a key is unknown, or a value is of another type.
    """
    if unknown := [str(key) for key in data if key not in hints]:
        fix = f"known keys: {', '.join(hints)}{nearest(unknown[0], hints)}"
        raise ConfigError(f"unknown key {unknown[0]!r}", where=where, fix=fix)
    return {key: _convert(hints[key], value, f"{where}: {key}") for key, value in data.items()}


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors inside say that they were found in `where`."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{where}: {error.where}".rstrip(": "), fix=error.fix) from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type, without guessing: no truncation, no str -> bool."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"got {value!r}", where=where, fix=one_of(value, [str(a) for a in args]))
        return value
    if hasattr(hint, "from_plain"):
        return hint.from_plain(value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"expected keys and values, got {value!r}", where=where)
        return read_fields(cast(Any, hint), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"expected keys and values, got {value!r}", where=where)
        return {_convert(args[0], k, where): _convert(args[1], v, f"{where}: {k}") for k, v in value.items()}
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"expected a list, got {value!r}", where=where)
        return origin(_convert(args[0], item, where) for item in value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e5
    if isinstance(value, hint) and (hint is bool) == isinstance(value, bool):
        return value
    expected, fix = _WORDS.get(hint, (hint.__name__, ""))
    raise ConfigError(f"expected {expected}, got {value!r}", where=where, fix=fix)


_WORDS = {
    int: ("a whole number", ""),
    float: ("a number", ""),
    bool: ("true or false", ""),
    str: ("a word", "put it in quotes if it is one"),
}


def to_dict(config: Any) -> Any:
    """Plain data (`yaml.safe_dump`-able) that `from_dict` reads back to an equal object."""
    if hasattr(config, "to_plain"):
        return config.to_plain()
    if dataclasses.is_dataclass(config):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_dict(item) for item in config]
    return str(config) if isinstance(config, Path) else config
