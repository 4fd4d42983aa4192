"""The web server's side of Cinema: between granian's event loop and Django's threads."""
