"""Published MovieLens folders, read into the catalogue and the viewers' ratings."""
