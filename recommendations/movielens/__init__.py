"""Published MovieLens folders, for development and evaluation: nothing that serves imports them."""
