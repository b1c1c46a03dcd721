"""The dataset folder and how it is written: whole files, locks, Parquet tables, caches, engine, progress."""
