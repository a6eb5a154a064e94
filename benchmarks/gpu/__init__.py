"""Does all of minidl work on this GPU, and how fast? `python -m benchmarks.gpu` tells, in less than 8 minutes."""
