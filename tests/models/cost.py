"""What a step forward costs, counted as it runs."""

import minidl
from minidl import nn


def multiply_adds(model, size, channels=3):
    """The multiply-adds of each convolution and linear layer, by name, for one square image."""
    costs = {}

    def counted(name):
        def note(layer, _, output):
            assert name not in costs, f"{name} ran twice"
            costs[name] = layer.weight.numel() * output.numel() // output.shape[1]

        return note

    handles = [
        module.register_forward_hook(counted(name))
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    with minidl.no_grad():
        model.eval()(minidl.ones(1, channels, size, size))
    for handle in handles:
        handle.remove()
    return costs
