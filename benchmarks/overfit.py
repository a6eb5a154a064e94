"""Does every model learn 16 images by heart? Run `python -m benchmarks.overfit`; `... resnet` for some.

A network with a wrong gradient, a dead unit or a bad start often cannot. The images are noise, of the size that the
model is compared at in benchmarks/zoo.py; the labels are four. A row of tests/models/table.py may choose how its model
starts (`rouse`) and the rate of Adam (`lr`).
"""

import argparse
import gc
import time

from tests.models.table import ENTRIES
from tests.models.test_zoo import overfit

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only models whose titles contain one of these")
    names = parser.parse_args().names
    learnt = []
    chosen = [entry for entry in ENTRIES if not names or any(name in entry.title for name in names)]
    for entry in chosen:
        start = time.perf_counter()
        learnt.append(overfit(entry) == 1)
        print(
            f"{entry.title}: {'learnt' if learnt[-1] else 'NOT LEARNT'}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        gc.collect()
    print(f"{sum(learnt)} of {len(learnt)} models learn 16 images by heart")
