"""The network around a learner: encoder, sampled softmax, statistics."""
