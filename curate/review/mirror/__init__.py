"""The FiftyOne dataset that mirrors the tables: rows pushed, edits pulled back, and how the App shows them."""
