"""Review in the FiftyOne App: push the tables into it, let people edit there, pull the edits back as decisions.

FiftyOne is a view and never the store: what it holds can be thrown away and pushed again, and every edit made in it
comes back validated, as a line of ``decisions.jsonl``.
"""

from curate.review.app import close_review, open_app, review
from curate.review.opening import Opening
from curate.review.pull import pull_review
from curate.review.push import push_review

__all__ = ["Opening", "close_review", "open_app", "pull_review", "push_review", "review"]
