"""Stories of a dataset rendered for people: reads plain values, computes nothing, needs neither torch nor cleanlab."""
