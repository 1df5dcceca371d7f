"""Why an item is recommended, and how far that can be relied on."""
