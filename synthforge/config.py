"""Strict YAML -> frozen dataclasses: unknown keys, wrong types and bad values fail in one line."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from synthforge.errors import ConfigError

T = TypeVar("T")
_CHECKOUT = Path(__file__).resolve().parents[1] / "configs"
_PACKAGED = Path(__file__).resolve().parent / "configs"


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {repeated[0]!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def config_path(kind: str, name_or_path: str) -> Path:
    """Path of a configuration given by name (`paper`) or path.

    Args:
        kind: folder below `configs/`: `generate`, `train`, ...
        name_or_path: a file, or the name of one that ships with synthforge.
    Raises:
        ConfigError: neither exists; the message lists the names that ship.
    """
    if (path := Path(name_or_path)).is_file():
        return path
    folder = (_CHECKOUT if _CHECKOUT.is_dir() else _PACKAGED) / kind
    if (packaged := folder / f"{name_or_path}.yaml").is_file():
        return packaged
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
    raise ConfigError(
        f"no such file or name: {name_or_path!r}",
        where="--config",
        fix=f"give a YAML file or one of: {known}",
    )


def load_config(cls: type[T], path: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file (or nothing: all defaults) into dataclass `cls`, then apply `a.b=value`.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong.
    """
    data: Any = {}
    if path is not None:
        try:
            data = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader) or {}
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"is not valid YAML ({reason})", where=str(path)) from error
    where = str(path) if path else "configuration"
    if not isinstance(data, dict):
        raise ConfigError(f"expected keys and values, got {data!r}", where=where)
    if overrides:
        from_dict(cls, data, where)  # the file's own mistakes are named first
        where = "command line"
    for override in overrides:
        _override(data, override)
    return from_dict(cls, data, where)


def _override(data: dict, override: str) -> None:
    key, sep, text = override.partition("=")
    if not sep or not key:
        raise ConfigError(f"expected KEY=VALUE, got {override!r}", where="--set", fix="for example seed=3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text!r} is not valid YAML", where=f"--set {key}") from error
    *parents, last = key.split(".")
    node = data
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{parent!r} holds a value, not keys", where=f"--set {key}")
    node[last] = value


def from_dict(cls: type[T], data: dict, where: str) -> T:
    """Dataclass from plain data; a class with `from_plain(data, where)` reads itself."""
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := [str(key) for key in data if key not in known]:
        raise ConfigError(f"unknown key {unknown[0]!r}", where=where, fix=f"known keys: {', '.join(known)}")
    values = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in data.items()}
    missing = [
        name
        for name, f in known.items()
        if name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"key {missing[0]!r} is missing", where=where)
    try:
        return cls(**values)
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
            raise ConfigError(f"got {value!r}", where=where, fix=f"use one of: {', '.join(map(str, args))}")
        return value
    if hasattr(hint, "from_plain"):
        return hint.from_plain(value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"expected keys and values, got {value!r}", where=where)
        return from_dict(hint, value, where)
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
    if isinstance(value, hint) and (hint is bool) == isinstance(value, bool):
        return value
    raise ConfigError(f"expected {hint.__name__}, got {value!r}", where=where)


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
