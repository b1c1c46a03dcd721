"""Review in the FiftyOne App: push the tables into it, let people edit there, pull the edits back as decisions.

FiftyOne is a view and never the store: what it holds can be thrown away and pushed again, and every edit made in it
comes back validated, as a line of ``decisions.jsonl``.
"""
