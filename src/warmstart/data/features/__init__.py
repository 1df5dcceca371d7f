"""Columns of tables as sparse features."""
