"""Networks in which only names and shapes matter, built in no time."""

import numpy as np


class Undrawn:
    """In place of a generator: every draw is the mean, which takes no time."""

    def uniform(self, low, high, shape):
        return np.broadcast_to(np.float32(low / 2 + high / 2), shape)

    def normal(self, mean, std, shape):
        return np.broadcast_to(np.float32(mean), shape)

    def random(self, shape):
        return self.uniform(0, 1, shape)
