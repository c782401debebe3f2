"""Chance that can be had again: `CLEW_TEST_SEED` seeds it, which the soak test sets anew for each round."""

import os
import random

SEED = "CLEW_TEST_SEED"


def seeded_chance() -> random.Random:
    return random.Random(int(os.environ.get(SEED, "7")))
