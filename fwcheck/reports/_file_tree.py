"""The files of the image as nested lists that open and close, by container and directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from fwcheck.jcstar.extent import size
from fwcheck.model import Branch, Leaf
from fwcheck.reports._finding_cards import text

_DEEPEST = 24  # directories inside directories; what lies deeper is listed with the rest of its path


class _Directory:
    def __init__(self) -> None:
        self.directories: dict[str, _Directory] = {}
        self.files: list[tuple[str, Leaf]] = []
        self.count = 0


def tree(branches: Sequence[Branch], linked: Mapping[tuple[tuple[str, ...], str], int], word: Callable[..., str]) -> str:
    """Every branch; ``linked`` gives the number of the first finding about a file."""
    return "".join(part for branch in branches for part in _branch(branch, linked, word))


def _branch(branch: Branch, linked: Mapping[tuple[tuple[str, ...], str], int], word: Callable[..., str]) -> Iterator[str]:
    top = _Directory()
    for leaf in branch.leaves:
        _put(top, leaf)
    about = [
        branch.format if branch.chain and not branch.chain[-1].startswith(f"{branch.format}@") else "",
        size(branch.size) if branch.size else "",
    ]
    about += [f"{len(branch.leaves) + branch.more} {word('entries')}"] if branch.leaves or branch.more else []
    above = "".join(f"{text(each)} › " for each in branch.chain[1:-1])
    name = f'<span class="soft">{above}</span>{text(branch.chain[-1] if branch.chain else "")}'
    summary = f'{name} <span class="soft">{text(", ".join(filter(None, about)))}</span>'
    if not branch.leaves:
        yield f'<p class="leafless mono">{summary}</p>'
        return
    yield f'<details class="branch"><summary class="mono">{summary}</summary><ul class="tree">'
    yield from _members(top, branch.chain, linked)
    if branch.more:
        yield f'<li class="soft">{escape(word("more", count=branch.more))}</li>'
    yield "</ul></details>"


def _put(top: _Directory, leaf: Leaf) -> None:
    parts = leaf.path.strip("/").split("/")
    if len(parts) > _DEEPEST:
        parts = [*parts[:_DEEPEST], "/".join(parts[_DEEPEST:])]
    at = top
    at.count += 1
    for part in parts if leaf.mode.startswith("d") else parts[:-1]:
        if part:
            at = at.directories.setdefault(part, _Directory())
            at.count += 1
    if not leaf.mode.startswith("d"):
        at.files.append((parts[-1], leaf))


def _members(directory: _Directory, chain: tuple[str, ...], linked: Mapping[tuple[tuple[str, ...], str], int]) -> Iterator[str]:
    for name, inner in sorted(directory.directories.items()):
        if inner.directories or inner.files:
            yield f"<li><details><summary>{text(name)}/</summary><ul>"
            yield from _members(inner, chain, linked)
            yield "</ul></details></li>"
        else:
            yield f"<li>{text(name)}/</li>"
    for name, leaf in sorted(directory.files, key=lambda each: each[0]):
        number = linked.get((chain, leaf.path))
        shown = f'<a href="#f{number}">{text(name)}</a>' if number is not None else text(name)
        if leaf.target:
            yield f'<li>{shown} <span class="soft">→ {text(leaf.target)}</span></li>'
        else:
            yield f'<li>{shown} <span class="soft">{text(leaf.mode)} {leaf.size:,}</span></li>'
