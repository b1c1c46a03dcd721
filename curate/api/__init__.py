"""The library's interface: one object for a dataset folder. Each command of `curate` calls one of its methods."""
