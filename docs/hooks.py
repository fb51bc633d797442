"""Adds the reference to the site while it is built: made from the code, so that it cannot be stale."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks before it reads pages: the generated ones come to those on disk."""
    from mkdocs.structure.files import File  # noqa: PLC0415

    pages = runpy.run_path(str(Path(__file__).with_name("reference.py")))["PAGES"]
    for name, make in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files
