"""Parts that several learners share: the head, its descent, set and recurrent encoders."""
