"""Full-text search of films."""
