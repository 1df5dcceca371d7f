"""The recommender: requests in, lists out."""
