"""The FiftyOne plugin: operators and a panel for answering findings; `curate review` links this folder.

FiftyOne runs this file under a name of its own, so what it shows is imported by its full name.
"""

from __future__ import annotations

import importlib.util
from typing import Any


def register(plugin: Any) -> None:
    """Register the operators and the panel; nothing where another FiftyOne than specurate's finds this folder."""
    if importlib.util.find_spec("curate") is None:
        return
    from curate.review.plugin.operators import OPERATORS
    from curate.review.plugin.panel import FindingsPanel

    for one in (*OPERATORS, FindingsPanel):
        plugin.register(one)
