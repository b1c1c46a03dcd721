"""Review in the FiftyOne App: tables are pushed into it, and edits come back as decisions.

FiftyOne is a view and never the store: what it holds can be thrown away and pushed again, and every edit made in it
comes back validated, as a line of ``decisions.jsonl``.
"""
