"""Validation: the one figure by which settings are chosen and training is stopped, by number of shots."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from warmstart.evaluation import evaluate, evaluate_ratings
from warmstart.scorer import Scorer
from warmstart.tasks import Tasks
