"""Support, query and episodes: what is learned from and asked."""
