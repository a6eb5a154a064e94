"""A process that runs networks in one framework: it waits for requests, one JSON object a line, and answers each.

`contest.Contender` starts `python -m benchmarks.cpu.worker "PyTorch NCHW" 2`, and one for each of the others: while
one works, the rest wait for their turn. They share nothing, and the peak of memory is that of the one framework.
As names in minidl are PyTorch's, the code that is timed is the same for both.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cpu.networks import Network, named
from benchmarks.cpu.shapes import LAYERS, Layer
from benchmarks.cpu.turn import turn

# NumPy is imported after minidl, which has a say in OpenBLAS's kernels.

Step = Callable[[], Any]
"""Does the work, and returns the loss or the output."""

SHOWN = 10
"""Of the output, for the others to compare with."""


class Framework(NamedTuple):
    """minidl or PyTorch: the library, and how it takes a feature map and a model."""

    library: Any
    images: Callable[[Any], Any]
    adopt: Callable[[Any], Any] = lambda model: model
    is_ours: bool = False

    def build(self, subject: Network | Layer) -> Any:
        """The network or the layer, the same weights each time."""
        self.library.manual_seed(0)
        if isinstance(subject, Layer):
            return self.adopt(subject.build(self.library))
        return self.adopt(subject.ours() if self.is_ours else subject.twin())


def minidl(threads: int) -> Framework:
    """Ours. Feature maps are in channel-major memory, as layers hand them on."""
    import minidl
    from minidl.kernels.numpy.parallel import set_num_threads

    set_num_threads(threads)
    return Framework(minidl, lambda array: minidl.tensor(_channel_major(array)), is_ours=True)


def _channel_major(array: Any) -> Any:
    return array.swapaxes(0, 1).copy().swapaxes(0, 1) if array.ndim == 4 else array


def torch(threads: int, layout: str) -> Framework:
    """PyTorch, with feature maps in one of its two layouts."""
    import torch

    torch.set_num_threads(threads)
    memory = getattr(torch, layout)

    def images(array: Any) -> Any:
        return torch.from_numpy(array).contiguous(memory_format=memory if array.ndim == 4 else torch.contiguous_format)

    def adopt(model: Any) -> Any:
        return model.to(memory_format=memory) if isinstance(model, torch.nn.Module) else model

    return Framework(torch, images, adopt)


MAKERS: dict[str, Callable[[int], Framework]] = {
    "minidl": minidl,
    "minidl, definitions": minidl,
    "PyTorch NCHW": lambda threads: torch(threads, "contiguous_format"),
    "PyTorch channels_last": lambda threads: torch(threads, "channels_last"),
}


class Worker:
    """What was asked for last: a model, and the step to take again and again."""

    def __init__(self, framework: Framework):
        self.framework = framework
        self.subject: Network | Layer
        self.model: Any
        self.step: Step

    def load(self, name: str, weights: str | None) -> None:
        """Build a network or a layer. The first to come leaves its weights in a file, the others take them."""
        import numpy as np

        self.subject = LAYERS.get(name) or named(name)
        self.model = self.framework.build(self.subject)
        if weights is None or not hasattr(self.model, "state_dict"):
            return
        if not Path(weights).exists():
            np.savez(weights, **{name: tensor.numpy() for name, tensor in self.model.state_dict().items()})
            return
        with np.load(weights) as arrays:
            self.model.load_state_dict({name: self.framework.library.tensor(a) for name, a in arrays.items()})

    def prepare(self, task: str, batch: int, image: int) -> list[float]:
        """Get ready for the turns to come; the first numbers that come out."""
        self.step = TASKS[task](self.framework, self.subject, self.model, batch, image)
        first = self.step()
        self.step()
        return [] if first is None else [float(number) for number in first.detach().numpy().flat[:SHOWN]]

    def turn(self, seconds: float) -> float:
        """How long a step takes."""
        return turn(self.step, seconds)

    def run(self) -> None:
        """Take a step."""
        self.step()

    def peak(self) -> int:
        """The most bytes that this process has held so far."""
        status = Path("/proc/self/status")
        if status.exists():  # ru_maxrss also counts what the process was that started this one
            (line,) = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
            return int(line.split()[1]) * 1024
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)

    def floors(self) -> tuple[float, float]:
        """Operations a second in products of 1024×1024 matrices, and bytes a second that a copy reads and writes.

        On as many cores as the kernels have threads.
        """
        import numpy as np

        from minidl.kernels.numpy.parallel import get_num_threads, parallel

        n, parts = 1024, 4 * get_num_threads()
        matrix = np.ones((n, n), np.float32)
        products = np.empty((parts, n, n), np.float32)
        source = np.ones((parts, 1 << 23), np.float32)
        target = np.empty_like(source)
        multiply = _best(lambda: parallel(lambda i: np.matmul(matrix, matrix, out=products[i]), range(parts)))
        copy = _best(lambda: parallel(lambda i: np.copyto(target[i], source[i]), range(parts)))
        return 2 * n**3 * parts / multiply, 2 * source.nbytes / copy


def _best(function: Callable[[], Any], repeats: int = 7) -> float:
    """The shortest time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


# ----------------------------------------------------------------------------------------------------------- tasks
def training(framework: Framework, network: Network, model: Any, batch: int, image: int) -> Step:
    """A step of SGD: the gradients to zero, forward, cross entropy, backward, the update."""
    images, labels = data(network, batch, image)
    x, y = framework.images(images), framework.library.tensor(labels)
    cross_entropy = framework.library.nn.functional.cross_entropy
    optimizer = framework.library.optim.SGD(model.train().parameters(), lr=1e-3, momentum=0.9)

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def inference(framework: Framework, network: Network, model: Any, batch: int, image: int) -> Step:
    """A forward pass in evaluation, with nothing recorded."""
    x = framework.images(data(network, batch, image)[0])
    model.eval()

    def step() -> Any:
        with framework.library.no_grad():
            return model(x)

    return step


def forward(framework: Framework, layer: Layer, model: Any, *_: int) -> Step:
    """Of a layer in training."""
    x = _input(framework, layer)
    return lambda: model(x)


def both(framework: Framework, layer: Layer, model: Any, *_: int) -> Step:
    """Forward and backward."""
    x = _input(framework, layer)
    g = 0.1 * model(x).detach()  # in memory as a layer that follows hands it back
    held = [x, *model.parameters()] if hasattr(model, "parameters") else [x]

    def step() -> Any:
        for tensor in held:
            tensor.grad = None
        y = model(x)
        y.backward(g)
        return y

    return step


def _input(framework: Framework, layer: Layer) -> Any:
    import numpy as np

    return framework.images(np.random.default_rng(0).standard_normal(layer.shape, np.float32)).requires_grad_()


TASKS: dict[str, Callable[..., Step]] = {"step": training, "inference": inference, "forward": forward, "both": both}


def data(network: Network, batch: int, image: int) -> tuple[Any, Any]:
    """Images and labels, by chance but always the same."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, network.channels, image, image), np.float32)
    return images, rng.integers(0, network.classes, batch)


def main(contender: str, threads: str) -> None:
    """Answer until nobody asks any more: {"do": a method of Worker, "with": its arguments}."""
    with contextlib.ExitStack() as stack:
        replies = stack.enter_context(os.fdopen(os.dup(1), "w", encoding="utf-8"))
        os.dup2(2, 1)  # what libraries print does not get between the replies
        worker = Worker(MAKERS[contender](int(threads)))
        if contender.endswith("definitions"):
            stack.enter_context(worker.framework.library.definitions())
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(getattr(worker, request["do"])(*request["with"])), file=replies, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
