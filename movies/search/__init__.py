"""What films are found by, and how they are looked for: docs/decisions/ says why it is done so."""
