"""The tables of docs/dataset.md, from the declarations. `python -m tests.storage.document` writes them."""

import re
from collections.abc import Iterable
from pathlib import Path

from synthforge.attributes import ATTRIBUTES
from synthforge.scene.expressions import EXPRESSIONS
from synthforge.storage.schema import LABELS, Label

FILE = Path(__file__).parents[2] / "docs/dataset.md"


def labels_table(labels: Iterable[Label] = LABELS) -> str:
    """One line per label: name, form on the disk and as read, unit, frame, meaning."""
    lines = ["| data set | on the disk | as read | unit | frame | meaning |", "|" + 6 * " --- |"]
    for label in labels:
        axes = ",".join(map(str, ("N", *label.shape)))
        disk = "image file [N]" if label.kind == "image" else f"{label.on_disk} [{axes}]"
        scale = f" x {label.attrs['scale']:.3g}" if "scale" in label.attrs else ""
        read = "word" if label.dtype == "str" else label.dtype
        cells = (f"`{label.name}`", disk + scale, read, label.unit, label.frame, label.text)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def words_table() -> str:
    """One line per attribute of words: its words in the order of their ids."""
    words = {name: about.words for name, about in ATTRIBUTES.items() if about.words}
    lines = ["| attribute | ids |", "| --- | --- |"]
    for name, all_of_it in (words | {"expression": tuple(EXPRESSIONS)}).items():
        lines.append(f"| `{name}` | {', '.join(f'{i} {word}' for i, word in enumerate(all_of_it))} |")
    return "\n".join(lines)


def documented(text: str) -> str:
    """The document with its tables made anew."""
    for name, table in (("labels", labels_table()), ("words", words_table())):
        marked = rf"(<!-- {name}: .*? -->\n).*?(\n<!-- end -->)"
        text, n = re.subn(marked, lambda m, table=table: m[1] + table + m[2], text, flags=re.DOTALL)
        assert n == 1, f"docs/dataset.md has no place for the table of {name}"
    return text


if __name__ == "__main__":
    FILE.write_text(documented(FILE.read_text(encoding="utf-8")), encoding="utf-8")
