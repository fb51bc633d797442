"""The files of an image as a report lists them: by container, cut where there are too many."""

from __future__ import annotations

from fwcheck.device.firmware import Firmware
from fwcheck.model import Branch, Leaf, Node, NodeKind

LEAVES = 4000  # of all branches together
BRANCHES = 400
_LETTERS = {NodeKind.FILE: "-", NodeKind.DIRECTORY: "d", NodeKind.SYMLINK: "l", NodeKind.REGION: "?"}


def listing(firmware: Firmware) -> tuple[Branch, ...]:
    """Every container with its members in image order. What does not fit is counted."""
    members: dict[tuple[str, ...], list[Node]] = {}
    containers: dict[tuple[str, ...], Node] = {}
    for node in firmware.nodes:
        if node.kind is NodeKind.CONTAINER:
            containers.setdefault(node.chain, node)
            members.setdefault(node.chain, [])
        else:
            members.setdefault(node.chain, []).append(node)
    left = LEAVES
    out: list[Branch] = []
    for chain, nodes in members.items():
        if len(out) == BRANCHES:
            break
        container = containers.get(chain)
        if not nodes and len(chain) > 2:
            continue  # a program or a stream inside a file: nothing is listed of it
        whole = len(chain) == 1
        shown = nodes[:left]
        left -= len(shown)
        out.append(
            Branch(
                chain=chain,
                format=(container.format or "") if container is not None else firmware.image.format if whole else "",
                size=container.size if container is not None else firmware.image.size if whole else 0,
                offset=container.offset if container is not None else None,
                leaves=tuple(Leaf(path=each.path, mode=mode(each), size=each.size, target=each.target or "") for each in shown),
                more=len(nodes) - len(shown),
            )
        )
    return tuple(out)


def mode(node: Node) -> str:
    """The mode as ``ls -l`` shows it; carved regions have none."""
    if node.kind is NodeKind.REGION:
        return node.format or "region"
    if node.kind is NodeKind.DEVICE:
        letter = {"b": "b", "c": "c", "f": "p", "s": "s"}.get((node.device or "c")[0], "c")
    else:
        letter = _LETTERS.get(node.kind, "-")
    bits = [mark if node.mode >> (8 - place) & 1 else "-" for place, mark in enumerate("rwxrwxrwx")]
    for place, bit, mark in ((2, 0o4000, "s"), (5, 0o2000, "s"), (8, 0o1000, "t")):
        if node.mode & bit:
            bits[place] = mark if bits[place] == "x" else mark.upper()
    return letter + "".join(bits)
