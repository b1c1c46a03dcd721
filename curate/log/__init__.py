"""What people and tools said of samples: events with parents, decisions, votes, and conflicts between them."""
