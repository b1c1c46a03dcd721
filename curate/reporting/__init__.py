"""Tables to reports and offline pages: collects what they tell, and hands it to ``reports`` to render."""
