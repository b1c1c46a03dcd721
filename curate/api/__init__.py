"""The library's face: a dataset folder as one object. Each command of `curate` calls one of its methods and prints."""
