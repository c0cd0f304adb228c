"""Insert, remove, search, export, save and fail in any order: a tree is what a dictionary of points says."""

import copy
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from histories import by_definition, export_with_copies, is_as_exported
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oracle import assert_cover_tree

import covertreex
from covertreex import cover_tree

# Batches: single points, some for a buffer, a size to fill it, and sizes to make segments merge.
SIZES = st.sampled_from([1, 2, 9, 60, 64, 200, 513, 1500, 4000])
MOST = 12_000  # points of a tree
SLOW = 200  # the most nodes of which every pair is checked


class Model(RuleBasedStateMachine):
    """Coordinates are multiples of one power of two, so that every distance, and every tie, is exact."""

    @initialize(
        dim=st.sampled_from([1, 2, 3, 8]), dtype=st.sampled_from([np.float32, np.float64]),
        side=st.sampled_from([2, 9, 60, 2000]), size=SIZES, seed=st.integers(0, 2**32 - 1),
    )  # fmt: skip
    def begin(self, dim, dtype, side, size, seed):
        self.folder = Path(tempfile.mkdtemp(prefix="covertree-states-"))
        self.rng, self.dim, self.dtype, self.side = np.random.default_rng(seed), dim, dtype, side
        self.rows = self.draw(size)  # of all that ever came
        self.tree = cover_tree(self.rows)
        self.alive = np.ones(size, bool)
        self.snapshots = []

    def draw(self, size):
        return (self.rng.integers(-self.side, self.side + 1, (size, self.dim)) / 64).astype(self.dtype)

    def indices(self):
        return np.flatnonzero(self.alive)

    def changed(self):
        """What was exported before is of an earlier tree."""
        for snapshot in self.snapshots:
            assert snapshot[0].stale

    # Changes

    def add(self, points):
        indices = self.tree.insert(points)
        assert indices.tolist() == list(range(len(self.rows), len(self.rows) + len(points)))
        self.rows = np.concatenate([self.rows, points])
        self.alive = np.r_[self.alive, np.ones(len(points), bool)]
        self.changed()

    @precondition(lambda self: self.alive.sum() < MOST)
    @rule(size=SIZES)
    def insert(self, size):
        self.add(self.draw(size))

    @precondition(lambda self: self.alive.sum() < MOST)
    @rule(times=st.integers(1, 90))
    def insert_singly(self, times):
        for row in self.draw(times):
            self.add(row[None])

    @precondition(lambda self: self.alive.sum() < MOST)
    @rule(size=st.integers(1, 300), at_one=st.booleans())
    def insert_existing_points(self, size, at_one):
        """Points at locations that points have, or had: or all at one of them."""
        self.add(
            self.rows[self.rng.integers(0, len(self.rows), 1 if at_one else size)].repeat(size if at_one else 1, 0)
        )

    def remove(self, indices):
        self.tree.remove(indices)
        self.alive[indices] = False
        if len(indices):
            self.changed()

    @rule(share=st.sampled_from([0.001, 0.02, 0.2, 0.26, 0.6, 1.0]))
    def remove_any(self, share):
        indices = self.rng.permutation(self.indices())
        self.remove(indices[: int(np.ceil(share * len(indices)))])

    @rule(share=st.sampled_from([0.02, 0.2, 0.5]), newest=st.booleans())
    def remove_from_an_end(self, share, newest):
        """The newest points are those of a buffer, and of the last segments; the oldest those of the first."""
        indices = self.indices()[:: -1 if newest else 1]
        self.remove(indices[: int(np.ceil(share * len(indices)))])

    @rule(times=st.integers(1, 40))
    def remove_singly(self, times):
        for index in self.rng.permutation(self.indices())[:times]:
            self.remove(np.array([index]))

    @rule()
    def remove_a_region(self):
        indices = self.indices()
        self.remove(indices[self.rows[indices, 0] > self.side / 128])

    @rule()
    def change_nothing(self):
        assert self.tree.insert(np.empty((0, self.dim))).tolist() == []
        self.tree.remove([])

    # What fails

    @rule(bad=st.sampled_from([np.nan, np.inf, 1e200]), size=st.integers(1, 200))
    def refuse_points(self, bad, size):
        points = self.draw(size).astype(np.float64)
        points[self.rng.integers(size), self.rng.integers(self.dim)] = bad
        with pytest.raises(ValueError), np.errstate(over="ignore"):
            self.tree.insert(points)
        with pytest.raises(ValueError, match="points"):
            self.tree.insert(np.zeros((2, self.dim + 1)))

    @rule(size=st.integers(0, 50), wrong=st.sampled_from(["later", "negative", "gone", "twice"]))
    def refuse_indices(self, size, wrong):
        indices = self.rng.permutation(self.indices())[:size]
        gone = np.flatnonzero(~self.alive)
        if (wrong == "gone" and not len(gone)) or (wrong == "twice" and not len(indices)):
            return
        extra = {
            "later": lambda: len(self.rows) + self.rng.integers(5),
            "negative": lambda: -1,
            "gone": lambda: self.rng.choice(gone),
            "twice": lambda: indices[0],
        }[wrong]()
        with pytest.raises((IndexError, ValueError), match="indices"):
            self.tree.remove(self.rng.permutation(np.r_[indices, extra]))
        if wrong in ("later", "gone"):
            with pytest.raises(IndexError):
                self.tree.knn(1, queries=np.array([extra]))

    # Searches

    @rule(k=st.sampled_from([1, 2, 10, 33, 129]), mode=st.sampled_from(["new", "before", "others", "below"]))
    def search(self, k, mode):
        indices = self.indices()
        queries, options, allowed = self.draw(12), {}, np.ones((12, len(indices)), bool)
        asked = queries
        if mode == "below":
            limits = self.rng.integers(0, len(self.rows) + 1, 12)
            options, allowed = {"before": limits}, indices < limits[:, None]
        elif mode != "new":
            asked = self.rng.permutation(indices)[:12]
            queries = self.rows[asked]
            options = {"predecessor_mode": mode == "before", "exclude_self": mode == "others"}
            allowed = indices < asked[:, None] if mode == "before" else indices != asked[:, None]
        found, far = self.tree.knn(
            k, queries=asked if "exclude_self" in options else queries, return_distances=True, **options
        )
        for row, query in enumerate(queries):
            usable = indices[allowed[row]]
            nearest = by_definition(self.rows[usable], query[None], k)[0]
            expected = np.where(nearest < 0, -1, usable[nearest]) if len(usable) else nearest
            assert found[row].tolist() == expected.tolist()
            true = np.sqrt(((self.rows[usable[nearest[nearest >= 0]]].astype(float) - query) ** 2).sum(axis=1))
            np.testing.assert_allclose(far[row, : len(true)], true, rtol=1e-6)

    @rule(k=st.integers(1, 20))
    def search_all(self, k):
        indices = self.indices()
        found = self.tree.knn(k)
        assert found.shape == (len(indices), k)
        if len(indices):
            whole = cover_tree(self.rows[indices]).knn(k)
            assert (found == np.where(whole < 0, -1, indices[whole])).all()

    @rule(steps=st.integers(0, 40))
    def look_around(self, steps):
        radius, indices, queries = steps / 64, self.indices(), self.draw(8)
        lists = self.tree.radius(radius, queries=queries)
        counts = self.tree.radius(radius, queries=queries, count_only=True)
        squares = ((self.rows[indices].astype(float) - queries[:, None]) ** 2).sum(axis=2)
        assert (counts == (squares <= radius**2).sum(axis=1)).all()
        for row in range(8):
            order = np.lexsort((indices, squares[row]))
            inside = indices[order][squares[row, order] <= radius**2]
            assert lists.indices[lists.offsets[row] : lists.offsets[row + 1]].tolist() == inside.tolist()

    # The cover tree, files, copies

    @rule()
    def export(self):
        arrays, copies = export_with_copies(self.tree)
        assert not arrays.stale
        live = np.ones(len(arrays.order), bool) if arrays.removed is None else arrays.removed == 0
        assert (np.sort(arrays.order[live]) == self.indices()).all()
        assert (arrays.points == self.rows[arrays.order]).all()
        if 0 < len(arrays.order) <= SLOW:
            assert_cover_tree(arrays, len(arrays.order))
        self.snapshots = [*self.snapshots[-3:], (arrays, copies)]

    @rule()
    def validate(self):
        assert self.tree.validate()

    @rule()
    def count(self):
        stats = self.tree.stats()
        assert stats.n_points == self.alive.sum() <= stats.n_nodes
        assert sum(stats.levels.values()) + stats.n_duplicates == stats.n_nodes

    @rule(how=st.sampled_from(["pickle", "copy", "file", "opened"]))
    def go_on_with_a_copy(self, how):
        if how in ("pickle", "copy"):
            other = pickle.loads(pickle.dumps(self.tree)) if how == "pickle" else copy.deepcopy(self.tree)
        else:
            self.tree.save(self.folder / "tree.ct")
            other = covertreex.load(self.folder / "tree.ct", verify=how == "file")
        if len(other):
            assert (other.knn(3) == self.tree.knn(3)).all()
        self.tree.close()
        self.tree = other
        self.snapshots = [(arrays, copies) for arrays, copies in self.snapshots if arrays.stale]

    @invariant()
    def has_as_many(self):
        if hasattr(self, "tree"):
            assert len(self.tree) == self.alive.sum()

    def teardown(self):
        if not hasattr(self, "tree"):
            return
        for arrays, copies in self.snapshots:
            is_as_exported(arrays, copies)
        assert self.tree.validate()
        assert (self.tree.indices == self.indices()).all()
        shutil.rmtree(self.folder)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=settings.default.max_examples // 4, stateful_step_count=20, deadline=None)
