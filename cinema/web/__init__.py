"""The code between granian's event loop and Django's threads."""
