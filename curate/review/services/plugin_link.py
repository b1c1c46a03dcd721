"""Links our plugin into FiftyOne's plugin folder, beside the user's own."""

from __future__ import annotations

from pathlib import Path

from curate.review.services.environment import load_fiftyone
from curate.storage.files import Problem

NAME = "specurate-review"
PLUGIN = Path(__file__).resolve().parents[1] / "plugin"


def link_plugin(folder: Path | None = None) -> Path:
    """Link the plugin into ``folder`` (FiftyOne's plugins folder when None, made if need be) and return the link.

    A link of ours that leads elsewhere (another environment, a removed one) is set anew; nothing else is touched.

    Raises
    ------
    Problem
        When something that is not ours has the name, or the folder takes no link.
    """
    folder = plugins_folder() if folder is None else folder
    link = folder / NAME
    if link.is_symlink() and link.resolve() == PLUGIN:
        return link
    if not _is_free_or_ours(link):
        raise Problem(f"Expected {link} to be a link that `curate review` made, found something else. Move it away.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(PLUGIN, target_is_directory=True)
    except OSError as error:
        raise Problem(
            f"Expected to link the review plugin at {link}, but {error.strerror or error}. "
            "Set FIFTYONE_PLUGINS_DIR to a folder that takes links."
        ) from None
    return link


def unlink_plugin(folder: Path | None = None) -> bool:
    """Remove the link of ours from ``folder`` and return whether there was one."""
    link = (plugins_folder() if folder is None else folder) / NAME
    if not link.is_symlink() or not _is_free_or_ours(link):
        return False
    link.unlink()
    return True


def plugins_folder() -> Path:
    """Return where FiftyOne looks for plugins: FIFTYONE_PLUGINS_DIR, its configuration, or its own default."""
    return Path(load_fiftyone().config.plugins_dir).expanduser()


def _is_free_or_ours(link: Path) -> bool:
    if not link.is_symlink():
        return not link.exists()
    return link.readlink().parts[-3:] == PLUGIN.parts[-3:]
