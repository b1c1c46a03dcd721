"""The record of what people and tools said: events with parents, decisions, votes, and conflicts between them."""
