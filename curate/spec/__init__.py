"""``dataset.yaml``: its model, how it is read and checked, and its digest."""
