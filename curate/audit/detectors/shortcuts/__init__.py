"""Finds shortcuts: properties that predict a class although they have nothing to do with it."""
