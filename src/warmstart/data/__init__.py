"""From files to a coded log of interactions."""
