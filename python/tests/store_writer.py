"""A process that writes to a store until it is killed: `store_writer.py folder sync seed`.

A line on standard output for each change that has returned: what it was.
"""

import sys

import numpy as np

from covertreex import VectorStore

DIM = 24


def vector(number):
    """The vector of a number; every fourth is one of a few."""
    return np.random.default_rng(number % 5 if number % 4 == 0 else number).standard_normal(DIM).astype(np.float32)


def main(folder, sync, seed):
    rng = np.random.default_rng(int(seed))
    with VectorStore.open(folder, DIM, sync=sync) as store:
        ids = {one for one in store if isinstance(one, int)}
        number = max(ids, default=-1) + 1
        print("open", flush=True)
        for turn in range(10**9):
            kind = rng.integers(6)
            if kind == 0:
                count = int(rng.integers(1, 400))
                batch = list(range(number, number + count))
                store.add_batch(batch, np.array([vector(one) for one in batch]))
                print("added", number, number + count, flush=True)
                number += count
                ids.update(batch)
            elif kind == 1 and len(ids) > 50:
                gone = [int(one) for one in rng.choice(sorted(ids), int(rng.integers(1, 40)), replace=False)]
                # Said before it is done: whether it was done is not known when the process ends in between.
                print("removing", *gone, flush=True)
                store.remove_batch(gone)
                print("removed", *gone, flush=True)
                ids.difference_update(gone)
            elif kind == 2 and turn % 7 == 0:
                store.compact()
            elif kind == 3 and turn % 5 == 0:
                store.snapshot(f"{folder}-{seed}-{turn}")
            else:
                store.add(number, vector(number))
                print("added", number, number + 1, flush=True)
                ids.add(number)
                number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
