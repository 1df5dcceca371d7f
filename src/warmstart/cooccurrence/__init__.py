"""Co-occurrence of items: Gram matrices and their inverse, transitions, similarity."""
