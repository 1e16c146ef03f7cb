"""Help is instant, complete and true; mistakes end in one line."""

import json
import resource
import shlex
import subprocess
import sys

import click
import pytest

from synthforge.cli import COMMANDS, main
from synthforge.generators.mitsuba.config import PathtraceConfig
from synthforge.generators.next3d.config import Next3dConfig
from synthforge.generators.registry import BACKENDS
from synthforge.heads.registry import HEADS
from synthforge.pipeline.config import GenerateConfig

HEAVY = ("numpy", "torch", "numba", "scipy", "cv2", "h5py", "lightning")


def every_command(group=main, path=()):
    """(words on the command line, command) of all commands, nested ones included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


ALL = dict(every_command())


def examples(help_text):
    _, _, after = help_text.partition("Examples:\n")
    return [shlex.split(line) for line in after.splitlines() if line.strip()]


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help_is_instant_and_imports_nothing_heavy(path):
    code = (
        "import sys, json\nfrom synthforge.cli import main\n"
        f"main([*{path!r}, '--help'], prog_name='synthforge', standalone_mode=False)\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    seconds = []  # of the processor: others may be at work too
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0, done.stderr
    *text, modules = done.stdout.splitlines()
    assert text[0].startswith(" ".join(["Usage: synthforge", *path]))
    assert json.loads(modules) == []
    assert min(seconds) < 0.5


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_examples_are_there_and_are_commands_of_ours(path):
    command = ALL[path] if path else main
    text = command.get_help(click.Context(command, info_name=" ".join(path)))
    found = examples(text)
    assert found
    for program, *words in found:
        assert program == "synthforge" and tuple(words[: len(path)]) == path
        at = max(n for n in (1, 2) if tuple(words[:n]) in ALL)
        inner = ALL[tuple(words[:at])]
        known = {name for parameter in inner.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = [word.partition("=")[0] for word in words[at:] if word.startswith("--")]
        assert set(given) <= known, given
        required = [p for p in inner.params if p.required and isinstance(p, click.Option)]
        assert all(set(p.opts) & set(given) for p in required)


def test_all_commands_of_the_group_are_real_and_have_help():
    assert {path[0] for path in ALL} == set(COMMANDS)
    for path, command in ALL.items():
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


def test_help_shows_the_defaults_and_choices_of_the_configuration():
    """Held to a configuration without any key, and to what the registries know."""
    command = ALL["generate",]
    shown = {p.name: p.get_help_record(click.Context(command)) for p in command.params}
    plain = GenerateConfig()
    wanted = vars(plain) | vars(Next3dConfig()) | vars(PathtraceConfig()) | vars(plain.scene)
    names = ("backend", "head", "resolution", "seed", "codec", "shard_size", "spp", "weights", "precision")
    for name in (*names, "views_per_identity"):
        assert shown[name][1].endswith(f"default: {wanted[name]}]"), name
    for name, registry in (("backend", BACKENDS), ("head", HEADS)):
        assert f"[{', '.join(registry.points())}; " in shown[name][1]
    assert "[jpeg, png, raw; " in shown["codec"][1]


def test_a_mistake_is_one_line():
    args = ["generate", "--n", "1", "--config", "no-such-config", "--out", "unused"]
    done = subprocess.run([sys.executable, "-m", "synthforge", *args], capture_output=True, text=True)
    assert done.returncode != 0
    assert "no-such-config" in done.stderr and "Traceback" not in done.stderr
