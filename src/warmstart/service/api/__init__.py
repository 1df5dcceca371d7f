"""Routes and schemas of the REST service."""
