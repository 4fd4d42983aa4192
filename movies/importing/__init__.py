"""Many films at once: from a list in a request, or from a file; and back into a file."""
