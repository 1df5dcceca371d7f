"""The service: recommendations over HTTP that change after every event, from a store that keeps
what it accepted.
"""
