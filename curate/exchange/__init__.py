"""Imports votes from other tools' files and exports them, with every row checked."""
