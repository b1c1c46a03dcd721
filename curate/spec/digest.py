"""Computes the SHA-256 of a spec's meaning, and the JSON Schema of all specs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from curate.spec.model import Spec


def spec_digest(spec: Spec) -> str:
    """Return the SHA-256 of the spec's meaning.

    It covers what changes the meaning of a version: the classes and their definitions, how images are decoded, the
    split recipe. Not comments, layout, source paths, or what only steers the tools (their effect is in the decisions).
    """
    meaning = {
        "classes": {name: " ".join(text.split()) for name, text in spec.classes.items()},
        "images": spec.images.model_dump(),
        "split": spec.split.model_dump(include={"train", "val", "test", "seed", "use_given"}),
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def spec_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``dataset.yaml``, for editors."""
    return Spec.model_json_schema()
