"""Parts that learners are made of."""
