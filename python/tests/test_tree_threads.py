"""Searches during changes, thread counts, and forks, over trees that grow and shrink."""

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest
from histories import assert_same, batches

from covertreex import CoverTreeError, cover_tree

SEARCHERS = 8
ASKED = 64  # indices that stay, and are asked for by number


class Script:
    """A course of changes, and the answers in each state on it: those of trees that are built at once."""

    def __init__(self, rng, dtype):
        self.points = (rng.integers(-40, 41, (4200, 3)) / 16).astype(dtype)
        self.queries = (rng.integers(-80, 81, (24, 3)) / 32).astype(dtype)
        self.radius = 0.25
        alive = np.arange(4200) < 1500
        self.steps, self.states = [], [self.answers(np.flatnonzero(alive))]
        for begin, end in batches(2700, rng, most=250):
            alive[1500 + begin : 1500 + end] = True
            self.add("insert", np.arange(1500 + begin, 1500 + end), alive)
            share = rng.choice([0, 0.01, 0.3], p=[0.6, 0.35, 0.05])
            gone = ASKED + rng.permutation(np.flatnonzero(alive[ASKED:]))[: int(share * alive.sum())]
            if len(gone):
                alive[gone] = False
                self.add("remove", gone, alive)

    def add(self, change, indices, alive):
        self.steps.append((change, indices))
        self.states.append(self.answers(np.flatnonzero(alive)))

    def answers(self, indices):
        """What each search finds among these points."""
        whole = cover_tree(self.points[indices])
        found, far = whole.knn(9, queries=self.queries, return_distances=True)
        lists = whole.radius(self.radius, queries=self.queries)
        counts = whole.radius(self.radius, queries=self.queries, count_only=True)
        before = whole.knn(5, queries=np.arange(ASKED), predecessor_mode=True)
        return {
            "nearest": (np.where(found < 0, -1, indices[found]), far),
            "within": (lists.offsets, indices[lists.indices]),
            "count": (counts,),
            "before": (np.where(before < 0, -1, indices[before]),),
            "all": (indices[whole.knn(1)],),
            "arrays": (indices,),
        }

    def searches(self, tree):
        """The same of a tree, as functions."""

        def within():
            lists = tree.radius(self.radius, queries=self.queries)
            return lists.offsets, lists.indices

        def arrays():
            arrays = tree.export_arrays()
            live = np.ones(len(arrays.order), bool) if arrays.removed is None else arrays.removed == 0
            assert (arrays.points == self.points[arrays.order]).all()
            return (np.sort(arrays.order[live]),)

        def everything():
            try:
                return (tree.knn(1),)
            except CoverTreeError as error:  # memory for the results was made for another number of points
                assert "was it changed?" in str(error)
                return None

        return {
            "nearest": lambda: tree.knn(9, queries=self.queries, return_distances=True),
            "within": within,
            "count": lambda: (tree.radius(self.radius, queries=self.queries, count_only=True),),
            "before": lambda: (tree.knn(5, queries=np.arange(ASKED), predecessor_mode=True),),
            "all": everything,
            "arrays": arrays,
        }


def wait_for(finds, more, failed):
    """A change needs less than a thread's turn: until this many more searches have ended, or one has failed."""
    wanted = len(finds) + more
    while len(finds) < wanted and not failed:
        time.sleep(1e-4)


def same(mine, theirs):
    return all(np.array_equal(one, other) for one, other in zip(mine, theirs))


@pytest.mark.parametrize("exported", [False, True], ids=["no cover tree", "with a cover tree"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_searches_during_changes(rng, dtype, exported):
    """Each answer is that of one state between the beginning of the call and its end."""
    script = Script(rng, dtype)
    tree = cover_tree(script.points[:1500])
    searches = script.searches(tree)
    if not exported:
        del searches["arrays"]
    begun, done, finished = [0], [0], threading.Event()
    seen, failed, finds = [], [], []

    def search(names):
        mine = []
        try:
            last = False
            while not last:
                last = finished.is_set()
                for name in names:
                    first = done[0]
                    answer = searches[name]()
                    finds.append(None)
                    if answer is not None:
                        mine.append((name, first, begun[0], answer))
        except BaseException as error:
            failed.append(error)
        seen.append(mine)

    names = list(searches)
    threads = [
        threading.Thread(target=search, args=(names[turn % len(names) :] + names[: turn % len(names)],))
        for turn in range(SEARCHERS)
    ]
    for thread in threads:
        thread.start()
    try:
        for step, (change, indices) in enumerate(script.steps, 1):
            wait_for(finds, int(rng.integers(0, 4)), failed)
            begun[0] = step
            if change == "insert":
                assert (tree.insert(script.points[indices]) == indices).all()
            else:
                tree.remove(indices)
            done[0] = step
    finally:
        finished.set()
        for thread in threads:
            thread.join()
    assert not failed
    assert done[0] == len(script.steps)
    spans = set()
    for mine in seen:
        assert mine[-1][1] == len(script.steps)
        for name, first, last, answer in mine:
            assert any(same(answer, script.states[state][name]) for state in range(first, last + 1)), (
                name,
                first,
                last,
            )
            spans.add((first, last))
    assert len(spans) > len(script.steps) // 4, "the searches met few of the states"
    assert tree.validate()


def test_two_who_change_never_lose_a_change(rng):
    """One of two changes at once is refused; what was not refused is there."""
    tree = cover_tree(rng.standard_normal((1000, 3)))
    mine = [[] for _ in range(4)]
    failed = []

    def change(turn):
        own = np.random.default_rng(turn)
        try:
            for _ in range(60):
                rows = own.standard_normal((int(own.integers(1, 30)), 3))
                try:
                    indices = tree.insert(rows)
                except CoverTreeError as error:
                    assert "another thread" in str(error)
                    continue
                mine[turn].append((indices, rows))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=change, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    indices = np.concatenate([indices for made in mine for indices, _ in made])
    rows = np.concatenate([rows for made in mine for _, rows in made])
    assert (np.sort(indices) == np.arange(1000, 1000 + len(indices))).all()
    assert len(tree) == 1000 + len(indices)
    found, far = tree.knn(1, queries=rows, return_distances=True)
    assert (found[:, 0] == indices).all()
    assert (far == 0).all()
    assert tree.validate()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(rng, dtype):
    """Of trees that grew and shrank, in the middle and at the end."""
    points = rng.standard_normal((24_000, 3)).astype(dtype)
    points[::7] = points[1::7][: len(points[::7])]
    queries = rng.standard_normal((500, 3)).astype(dtype)
    results = []
    for threads in (1, 2, 4):
        tree = cover_tree(points[:9_000], n_threads=threads)
        by_name, own, alive = {}, np.random.default_rng(3), np.arange(9_000)
        for turn, (begin, end) in enumerate([(9_000, 9_300), (9_300, 10_000), (10_000, 23_000), (23_000, 24_000)]):
            tree.insert(points[begin : (begin + end) // 2], n_threads=threads)
            for row in range((begin + end) // 2, min(end, (begin + end) // 2 + 20)):
                tree.insert(points[row : row + 1], n_threads=threads)
            rest = (begin + end) // 2 + 20
            tree.insert(points[rest:end], n_threads=threads)
            alive = own.permutation(np.r_[alive, begin:end])
            gone = len(alive) // 20 if turn % 2 else len(alive) // 3
            tree.remove(alive[:gone], n_threads=threads)
            alive = alive[gone:]
            by_name[f"{turn} nearest"], by_name[f"{turn} how far"] = tree.knn(
                12, queries=queries, return_distances=True, n_threads=threads
            )
            lists = tree.radius(0.1, return_distances=True, n_threads=threads)
            by_name[f"{turn} where"], by_name[f"{turn} within"], by_name[f"{turn} far within"] = lists
            if turn == 1:
                by_name.update({f"{name} in the middle": a for name, a in exported(tree)})
        by_name["before"] = tree.knn(3, predecessor_mode=True, n_threads=threads)
        by_name.update(exported(tree))
        tree.validate(n_threads=threads)
        results.append(by_name)
    for by_name in results[1:]:
        assert_same(by_name, results[0])


def exported(tree):
    return [(name, a) for name, a in tree.export_arrays()._asdict().items() if a is not None]


def _child(tree, queries, pipe):
    """Search, change and show the tree of the parent, here."""
    found = tree.knn(5, queries=queries)
    indices = tree.insert(queries)
    tree.insert(queries[:1])
    tree.remove(np.arange(100))
    pipe.send((found, indices, len(tree), tree.knn(5, queries=queries), tree.validate()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_changes(rng):
    """A child goes on with a tree of several segments, and the parent with its own."""
    points = rng.standard_normal((12_000, 3))
    queries = rng.standard_normal((2000, 3))
    tree = cover_tree(points[:6000], n_threads=4)
    tree.insert(points[6000:11_900], n_threads=4)
    for row in points[11_900:]:
        tree.insert(row[None])
    tree.remove(np.r_[11_990, 100:200])
    left = np.setdiff1d(np.arange(12_000), np.r_[11_990, 100:200])
    after = np.r_[left[100:], 12_000 + np.arange(2001)]
    there = np.concatenate([points, queries, queries[:1]])
    expected = left[cover_tree(points[left]).knn(5, queries=queries)]
    changed = after[cover_tree(there[after]).knn(5, queries=queries)]
    context = multiprocessing.get_context("fork")
    for _ in range(4):
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(tree, queries, theirs))
        child.start()
        assert (tree.knn(5, queries=queries) == expected).all()
        assert ours.poll(60), "the child hangs"
        found, indices, count, then, valid = ours.recv()
        assert (found == expected).all()
        assert indices.tolist() == list(range(12_000, 14_000))
        assert count == len(after)
        assert (then == changed).all()
        assert valid
        child.join(60)
        assert child.exitcode == 0
    assert len(tree) == len(left)
    assert tree.insert(queries).tolist() == list(range(12_000, 14_000))
