"""A process that runs one network in one framework: it waits for requests, one JSON object a line, and answers each.

`python -m benchmarks.cpu.worker minidl LeNet-5 2` is started by `contest.Contender`, and so are the others: while one
works, the rest wait for their turn. They share nothing, and the peak of memory is that of the one framework.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cpu.networks import Network, named

Step = Callable[[], float]
"""Does the work, and returns the loss (or, in inference, the first output): it has waited for the result."""

LEARNING_RATE, MOMENTUM = 1e-3, 0.9


class Minidl:
    """Ours."""

    def __init__(self, network: Network, threads: int):
        import minidl
        from minidl.kernels.numpy.parallel import set_num_threads

        set_num_threads(threads)
        minidl.manual_seed(0)
        self.network, self.model = network, network.ours()

    def exchange(self, path: str) -> None:
        """Write the weights into a file, for the others."""
        np.savez(path, **{name: tensor.numpy() for name, tensor in self.model.state_dict().items()})

    def training(self, images: np.ndarray, labels: np.ndarray) -> Step:
        """A step of SGD: the gradients to zero, forward, cross entropy, backward, the update."""
        from minidl import optim, tensor
        from minidl.nn import functional as F

        model, x, y = self.model.train(), tensor(images), tensor(labels)
        optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

        def step() -> float:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step

    def inference(self, images: np.ndarray) -> Step:
        """A forward pass in evaluation, with nothing recorded."""
        from minidl import no_grad, tensor

        model, x = self.model.eval(), tensor(images)

        def step() -> float:
            with no_grad():
                return float(model(x).numpy().flat[0])

        return step

    def versions(self) -> dict[str, str]:
        """What runs here."""
        import minidl

        return {"minidl": minidl.__version__, "NumPy": np.__version__, "BLAS": blas()}


class Torch:
    """PyTorch, with feature maps in one of its two layouts."""

    def __init__(self, network: Network, threads: int, layout: str):
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch, self.network, self.layout = torch, network, getattr(torch, layout)
        self.model = network.twin().to(memory_format=self.layout)

    def exchange(self, path: str) -> None:
        """Load our weights."""
        with np.load(path) as arrays:
            self.model.load_state_dict({name: self.torch.from_numpy(array) for name, array in arrays.items()})

    def _images(self, images: np.ndarray) -> Any:
        return self.torch.from_numpy(images).contiguous(memory_format=self.layout)

    def training(self, images: np.ndarray, labels: np.ndarray) -> Step:
        """The same step."""
        model, x, y = self.model.train(), self._images(images), self.torch.from_numpy(labels)
        optimizer = self.torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
        cross_entropy = self.torch.nn.functional.cross_entropy

        def step() -> float:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return step

    def inference(self, images: np.ndarray) -> Step:
        """The same forward pass."""
        model, x = self.model.eval(), self._images(images)

        def step() -> float:
            with self.torch.no_grad():
                return float(model(x).flatten()[0].item())

        return step

    def versions(self) -> dict[str, str]:
        """What runs here."""
        return {"PyTorch": self.torch.__version__}


def make(contender: str, network: Network, threads: int) -> Minidl | Torch:
    """The network in the framework, and layout, of this name: one of `contest.CONTENDERS`."""
    if contender == "minidl":
        return Minidl(network, threads)
    layout = {"PyTorch NCHW": "contiguous_format", "PyTorch channels_last": "channels_last"}[contender]
    return Torch(network, threads, layout)


def data(network: Network, batch: int, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, by chance but always the same."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, network.channels, image, image), np.float32)
    return images, rng.integers(0, network.classes, batch)


def timed(step: Step, seconds: float) -> list[float]:
    """How long each of the steps took that are done in so many seconds, one at least.

    Of several the first, which finds the caches as others have left them, does not count.
    """
    times: list[float] = []
    while not times or sum(times) < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times[1:] or times


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss also counts what the process was that started this one
        (line,) = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def blas() -> str:
    """The BLAS of NumPy and the kernels it has chosen."""
    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    name = f"{found['name']} {found['version']}"
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return name
    kernels = {library["architecture"] for library in threadpool_info() if "architecture" in library}
    return f"{name}, {' and '.join(sorted(kernels))} kernels"


def answer(framework: Minidl | Torch, steps: list[Step], request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for. What was prepared last stays in `steps`, for the turns to come."""
    reply: dict[str, Any] = {}
    if "exchange" in request:
        framework.exchange(request["exchange"])
    if "prepare" in request:
        task, batch, image = request["prepare"]
        images, labels = data(framework.network, batch, image)
        steps.clear()
        steps.append(framework.training(images, labels) if task == "step" else framework.inference(images))
        reply["first"] = steps[0]()
        steps[0]()
    if "turn" in request:
        reply["seconds"] = statistics.median(timed(steps[0], request["turn"]))
    if "versions" in request:
        reply["versions"] = framework.versions()
    return {**reply, "peak": peak_memory()}


def main(contender: str, network: str, threads: str) -> None:
    """Answer until there is nobody to ask."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)  # what libraries print does not get between the replies
        framework, steps = make(contender, named(network), int(threads)), []  # type: tuple[Minidl | Torch, list[Step]]
        for line in sys.stdin:
            print(json.dumps(answer(framework, steps, json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
