"""What the benchmarks on a CPU have in common: the networks, the processes that run them, and what is kept of it."""
