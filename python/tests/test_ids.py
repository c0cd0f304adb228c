"""Ids: valid ones, the collections that they come in, and what remains of them."""

import datetime
import decimal
import enum
import json
import uuid

import file_reader
import numpy as np
import pytest
from index_oracle import ALL, sample

from covertreex import VectorStore
from covertreex._capi import running
from covertreex.indexes import HNSW, BruteForce, load

try:
    import pandas as pd
except ImportError:
    pd = None

UUID = uuid.UUID(int=7)
DATE = np.datetime64("2020-01-02", "ns")


class Colour(str, enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    FIVE = 5


# What an id becomes.
PLAIN = [
    (5, 5), (-1, -1), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1), (np.int64(5), 5), (np.uint8(5), 5),
    (Number.FIVE, 5), (np.array(5), 5), ("a", "a"), ("", ""), ("a\0b", "a\0b"), ("\0", "\0"), (np.str_("a"), "a"),
    (Colour.RED, "red"), (np.array("a"), "a"), (UUID, UUID),
]  # fmt: skip
# Further ids of an index: hashable objects except numbers.
OF_INDEXES = [
    (b"a\0", b"a\0"), (np.bytes_(b"a"), b"a"), (2**70, 2**70), (np.uint64(2**63), 2**63), (DATE, DATE),
    (datetime.date(2020, 1, 2), datetime.date(2020, 1, 2)), (("a", 1), ("a", 1)), (frozenset([1]), frozenset([1])),
]  # fmt: skip
INVALID_IDS = [
    True, np.True_, 1.0, 2.5, float("nan"), np.float32(1), 1j, decimal.Decimal(1), None, np.datetime64("NaT"), [1],
    {1: 2}, ("a", [1]), bytearray(b"a"), *([pd.NA, pd.NaT] if pd else []),
]  # fmt: skip


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    with VectorStore(2) if request.param == "memory" else VectorStore.open(tmp_path / "store", 2) as made:
        yield made


def same(found, wanted):
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize(("given", "plain"), PLAIN, ids=repr)
def test_ids_of_a_store(store, given, plain, tmp_path):
    store.add("other", [7, 7])
    store.add(given, [1, 2])
    assert given in store
    assert plain in store
    assert store.get(given).tolist() == store.get(plain).tolist() == [1, 2]
    store.snapshot(tmp_path / "copy")
    with VectorStore.open(tmp_path / "copy") as copy:
        for kept in (store, copy):
            assert len(kept) == 2
            assert same(list(kept)[1], plain)
    index = BruteForce(store)
    assert same(index.add([given]).tolist(), [plain])
    assert index.add().tolist() == ["other"]
    store.remove(given)
    assert plain not in store
    store.add_batch([given], [[3, 4]])
    assert store.get_batch(store.slots([plain])).tolist() == [[3, 4]]
    store.remove_batch({given} if isinstance(given, str) else [given])
    assert list(store) == ["other"]
    store.check()


@pytest.mark.parametrize(("given", "plain"), [*PLAIN, *OF_INDEXES], ids=repr)
def test_ids_of_an_index(given, plain):
    index = HNSW(2)
    index.add("other", [7, 7])
    assert same(index.add([given], [[1, 2]]).tolist(), [plain])
    assert given in index
    assert plain in index
    assert same(index.knn(1, queries=[[1, 2]])[0].tolist(), [[plain]])
    assert same(index.ids.tolist(), ["other", plain])
    assert index.get([given]).tolist() == index.get([plain]).tolist() == [[1, 2]]
    assert same(index.knn(2, queries=[[7, 7]], filter=[given])[0].tolist(), [[plain, None]])
    index.update([given], [[5, 6]])
    assert index.get([plain]).tolist() == [[5, 6]]
    index.remove([given])
    assert index.ids.tolist() == ["other"]
    assert given not in index


@pytest.mark.parametrize("bad", INVALID_IDS, ids=repr)
def test_rejects_invalid_ids(store, bad):
    index = BruteForce(2)
    for of, name in ((store, "add_batch"), (index, "add")):
        of_ints = getattr(of, name)
        of_ints([1, 2], [[1, 2], [3, 4]])
        with pytest.raises(TypeError, match="ids"):
            of_ints([3, bad], [[5, 6], [7, 8]])
        assert bad not in of
        assert list(of.ids if of is index else of) == [1, 2]
    for call in (store.add, store.remove, store.slot, store.get):
        with pytest.raises(TypeError, match="id"):
            call(bad, [1, 2]) if call == store.add else call(bad)
    calls = (index.remove, index.get, lambda ids: index.update(ids, [[1, 2]]))
    for call in (*calls, store.remove_batch, store.slots):
        with pytest.raises(TypeError, match="ids"):
            call([bad])
    with pytest.raises(TypeError, match="filter"):
        index.knn(1, queries=[[1, 2]], filter=[bad])
    assert len(index) == len(store) == 2


@pytest.mark.parametrize("bad", [b"a", 2**63, -(2**63) - 1, "\ud800", ("a", 1), frozenset([1])], ids=repr)
def test_a_store_rejects_invalid_ids(store, bad):
    with pytest.raises((TypeError, ValueError), match=r"^ids: .*(expected|fit)"):
        store.add(bad, [1, 2])
    assert bad not in store
    assert list(store) == []


# One or several


def collections(ids):
    """Ids in order, in everything that they may come in."""
    yield "list", ids
    yield "tuple", tuple(ids)
    yield "keys", dict.fromkeys(ids).keys()
    yield "values", dict(enumerate(ids)).values()
    yield "dictionary", dict.fromkeys(ids)
    yield "generator", (one for one in ids)
    yield "map", map(lambda one: one, ids)
    yield "objects", np.array([*ids, None], object)[:-1]
    has_uuids = isinstance(ids[0], uuid.UUID)
    if pd:
        yield "series", pd.Series(ids, index=range(5, 5 + len(ids)))
        yield "index", pd.Index(ids)
        kind = "object" if has_uuids else "string" if isinstance(ids[0], str) else "Int64"
        yield "nullable series", pd.Series(ids, dtype=kind)
    if not has_uuids:
        yield "array", np.array(ids)
    if ids[0] == 4:
        yield "range", range(4, 7)
        yield "bytes of integers", np.array(ids, np.uint8)
        yield "big endian", np.array(ids, ">i4")
        yield "every second", np.repeat(ids, 2)[::2]


CASES = [
    pytest.param(ids, position, id=f"{name} of {type(ids[0]).__name__}")
    for ids in ([4, 5, 6], ["ab", "b", "c"], [UUID, uuid.UUID(int=8), uuid.UUID(int=9)])
    for position, (name, _) in enumerate(collections(ids))
]


@pytest.mark.parametrize(("ids", "position"), CASES)
def test_ids_in_any_collection(store, ids, position):
    x = sample(3, 2)

    def given():
        return list(collections(ids))[position][1]

    slots = store.add_batch(given(), x)
    assert list(store) == ids
    assert all(type(one) is type(ids[0]) for one in store)
    assert store.slots(given()).tolist() == slots.tolist()
    index, over = BruteForce(2), BruteForce(store)
    assert index.add(given(), x).tolist() == over.add(given()).tolist() == ids
    for one in (index, over):
        assert one.get(given()).tolist() == x.tolist()
        assert one.knn(1, queries=x, filter=given())[0].ravel().tolist() == ids
    over.update(given())
    index.update(given(), x[::-1])
    assert index.get(given()).tolist() == x[::-1].tolist()
    for one in (index, over):
        one.remove(given())
        assert len(one) == 0
    store.remove_batch(given())
    assert len(store) == 0


def test_text_is_one_id():
    index = BruteForce(2)
    index.add(["a", "b", "ab"], [[1, 0], [2, 0], [3, 0]])
    for one in ("ab", np.str_("ab"), np.array("ab")):
        assert index.knn(3, queries=[[1, 0]], filter=one)[0].tolist() == [["ab", None, None]]
        assert index.get(one).tolist() == [3, 0]
    index.update("ab", [4, 0])
    assert index.get(["ab"]).tolist() == [[4, 0]]
    index.remove("ab")
    assert index.ids.tolist() == ["a", "b"]
    with pytest.raises(KeyError, match="'ab'"):
        index.remove("ab")
    assert index.knn(1, queries=[[1, 0]], filter="ab")[0].tolist() == [[None]]
    numbers = BruteForce(2)
    numbers.add(None, sample(3, 2))
    assert numbers.knn(2, queries=[[1, 0]], filter=2)[0].tolist() == [[2, -1]]


@pytest.mark.parametrize("one", ["ab", np.str_("ab"), 5, np.int64(5), UUID, b"ab", np.array(5), None, 1.5], ids=repr)
def test_methods_of_a_store_for_several_ids_reject_a_single_one(store, one):
    store.add_batch(["a", "b"], [[1, 2], [3, 4]])
    for call in (lambda: store.add_batch(one, [[5, 6], [7, 8]]), lambda: store.remove_batch(one),
                 lambda: store.slots(one)):  # fmt: skip
        with pytest.raises(TypeError, match="ids: expected a sequence"):
            call()
    assert list(store) == ["a", "b"]


def test_a_set_is_refused_where_order_matters(store):
    index = BruteForce(2)
    index.add(["a", "b"], sample(2, 2))
    for call in (lambda: index.add({"c", "d"}, sample(2, 2)), lambda: index.get({"a", "b"}),
                 lambda: index.update(frozenset("ab"), sample(2, 2)), lambda: BruteForce(store).add({"a"}),
                 lambda: store.add_batch({"c"}, sample(1, 2)), lambda: store.slots({"c"})):  # fmt: skip
        with pytest.raises(TypeError, match="ids: expected a sequence, got a set"):
            call()
    assert index.knn(2, queries=sample(1, 2), filter={"a", "b"})[0].tolist() != [[None, None]]
    index.remove({"a", "b"})
    store.add_batch(["a", "b"], sample(2, 2))
    store.remove_batch({"a", "b"})
    assert len(index) == len(store) == 0


def test_arrays_of_other_shapes_and_types(store):
    index = BruteForce(2)
    for ids, error in (([[1, 2]], ValueError), ([1.0, 2.0], TypeError), ([True, False], TypeError)):
        for call in (lambda ids=ids: index.add(np.array(ids), sample(2, 2)),
                     lambda ids=ids: store.add_batch(np.array(ids), sample(2, 2))):  # fmt: skip
            with pytest.raises(error, match="ids"):
                call()
    index.add(np.array([]), np.empty((0, 2)))
    store.add_batch(np.array([]), np.empty((0, 2)))
    assert len(index) == len(store) == 0
    dates = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    assert index.add(dates, sample(2, 2)).tolist() == list(dates)


@pytest.mark.parametrize("as_given", [np.asarray, *([pd.Series] if pd else [])])
def test_a_boolean_filter(as_given):
    index = BruteForce(2)
    index.add(None, sample(4, 2))
    mask = as_given(np.array([False, True, False, True]))
    assert sorted(index.knn(4, queries=sample(1, 2), filter=mask)[0][0].tolist()) == [-1, -1, 1, 3]
    with pytest.raises(TypeError, match="got True"):
        index.knn(4, queries=sample(1, 2), filter=[True, False])


# Several kinds in one index


@pytest.mark.parametrize("kind", ALL)
def test_integers_first_and_others_later(kind, tmp_path):
    x = sample(200, 4)
    index = kind(4)
    index.add([3, 2**62, -5], x[:3])
    assert index.add(["a", 7, UUID], x[3:6]).tolist() == ["a", 7, UUID]
    ids = [3, 2**62, -5, "a", 7, UUID]
    assert index.ids.tolist() == ids
    assert index.knn(1, queries=x[:6])[0].ravel().tolist() == ids
    index.remove([2**62, "a"])
    index.add(["a", 9], x[6:8])
    ids = [3, -5, 7, UUID, "a", 9]
    index.save(tmp_path / "index")
    for one in (index, load(tmp_path / "index")):
        assert one.ids.tolist() == ids
        assert one.knn(1, queries=x[[0, 2, 4, 5, 6, 7]])[0].ravel().tolist() == ids
        assert one.knn(2, queries=x[:1], filter=["a", 9, 2**62, "gone"])[0][0].tolist() != [None, None]
        with pytest.raises(KeyError, match="4611686018427387904"):
            one.get(2**62)
        with pytest.raises(ValueError, match="already has a vector 3"):
            one.add(["new", 3], x[:2])
        assert one.ids.tolist() == ids
        with pytest.raises(ValueError, match="expected 1 new ids"):
            one.add(None, x[:1])


def test_integers_first_and_text_later_over_a_store(store):
    x = sample(40, 2)
    index = HNSW(store)
    store.add_batch(range(20), x[:20])
    assert index.add().tolist() == list(range(20))
    store.add_batch(["a", "b", UUID], x[20:23])
    assert index.add().tolist() == ["a", "b", UUID]
    store.add_batch([20, 21], x[23:25])
    assert index.add([21, 20]).tolist() == [21, 20]
    assert index.knn(1, queries=x[:25])[0].ravel().tolist() == [*range(20), "a", "b", UUID, 20, 21]


def test_the_largest_number_leaves_room_for_text():
    index = BruteForce(2)
    index.add([2**63 - 1, 0, 2], sample(3, 2))
    index.add(["a", "b"], sample(2, 2, 1))
    assert index.ids.tolist() == [2**63 - 1, 0, 2, "a", "b"]
    assert index.knn(1, queries=sample(2, 2, 1))[0].ravel().tolist() == ["a", "b"]


def test_an_empty_index_has_no_kind_of_ids():
    index = BruteForce(2)
    for empty in (lambda: index.remove(["a", "b"]), index.clear):
        index.add(["a", "b"], sample(2, 2))
        empty()
        assert index.add(None, sample(2, 2)).dtype == np.int64
        index.clear()


def test_an_unknown_id_is_a_key_error(store):
    index = BruteForce(2)
    for ids in ([1, 2], ["a", "b"]):
        index.clear()
        index.add(ids, sample(2, 2))
        for unknown in (9, "z", UUID, 2**70, b"z"):
            for call in (index.get, index.remove, lambda one: index.update(one, [[1, 2]])):
                with pytest.raises(KeyError):
                    call([unknown])
            assert unknown not in index
        with pytest.raises(ValueError, match="twice"):
            index.remove([ids[0], ids[0]])
        with pytest.raises(ValueError, match=f"{ids[0]!r}.* twice"):
            index.update([ids[0], ids[0]], sample(2, 2))
        assert index.ids.tolist() == ids
    store.add(1, [1, 2])
    over = BruteForce(store)
    for call in (store.get, store.slot, store.remove, lambda one: store.remove_batch([one]), over.add, over.get):
        for unknown in (9, "z", UUID):
            with pytest.raises(KeyError):
                call(unknown)


# Slots


def test_a_bad_slot_is_an_index_error(store):
    store.add_batch([1, 2, "name"], [[1, 0], [2, 0], [3, 0]])
    store.remove(2)
    index = BruteForce(store)
    index.add([1])
    for array in (np.array([2**63], np.uint64), np.array([0, -1]), np.array([0, 3], np.int8)):
        with pytest.raises(IndexError, match="slots"):
            store.get_batch(array)
    for bad in (1, 3, -1, 2**62, 2**63 - 1):
        calls = [store.get_slot, lambda slot: store.get_batch([0, slot]), lambda slot: store.get_batch([slot]),
                 lambda slot: index.add([7], slots=[slot]), lambda slot: index.add(slots=[slot]),
                 lambda slot: index.update([1], slots=[slot])]  # fmt: skip
        for call in calls if bad == 1 else (*calls, store.n_owners):
            with pytest.raises(IndexError, match="slot"):
                call(bad)
    for wrong in (1.0, True, "1", None):
        for call in (store.get_slot, store.n_owners, lambda slot: store.get_batch([slot])):
            with pytest.raises(TypeError, match="slot"):
                call(wrong)
    assert store.n_owners(1) == 0
    assert index.ids.tolist() == [1]
    assert store.get_batch([2, 0]).tolist() == [[3, 0], [1, 0]]
    assert store.get_batch([]).shape == (0, 2)


# Removed ids


def test_removed_names_use_no_space(tmp_path):
    index = BruteForce(2)
    index.add(["stays"], [[1, 2]])
    sizes = []
    for turn in range(30):
        names = [f"secret {turn} {position}" for position in range(20)]
        index.add(names, sample(20, 2, turn))
        index.update(names, sample(20, 2, turn + 100))
        index.remove(names)
        index.rebuild()
        index.save(tmp_path / "index")
        sizes.append((tmp_path / "index").stat().st_size)
        assert b"secret" not in (tmp_path / "index").read_bytes()
    assert len(set(sizes)) == 1
    assert len(index._ids._names) == len(index._ids._keys) == 1
    index.add(["secret"], [[1, 2]])
    index.clear()
    assert "secret" not in json.dumps(index._ids.encoded(), default=str)
    assert index.ids.tolist() == []


def test_names_that_are_gone_are_not_in_the_files_of_a_store(store, tmp_path):
    names = [f"secret {position}" for position in range(300)]
    store.add_batch([*names, "stays"], sample(301, 2))
    store.remove_batch(names[:299])
    store.remove(names[299])
    store.snapshot(tmp_path / "copy")
    store.close()
    for path in tmp_path.glob("*/catalogue.sqlite*"):
        assert b"secret" not in path.read_bytes(), path
    with VectorStore.open(tmp_path / "copy") as copy:
        assert list(copy) == ["stays"]


# Changes that fail


class Interrupted(Exception):
    pass


def interrupting(monkeypatch, after):
    """Have the next call of the library that may last long end as by Ctrl-C: before its work, or when all is done."""
    plain = running.run

    def run(function, *arguments, **named):
        monkeypatch.setattr(running, "run", plain)
        if after:
            plain(function, *arguments, **named)
        raise Interrupted

    monkeypatch.setattr(running, "run", run)


NAN = [[1.0, np.nan]]
# Calls of `add` that fail, by their ids.
FAILING = {
    "not a number": lambda index, ids: index.add(ids[:1], NAN),
    "infinity": lambda index, ids: index.add(ids[:1], [[np.inf, 1.0]]),
    "too large": lambda index, ids: index.add(ids[:1], [[1e20, 1.0]]),
    "columns": lambda index, ids: index.add(ids[:2], sample(2, 3)),
    "fewer vectors": lambda index, ids: index.add(ids[:2], sample(1, 2)),
    "more vectors": lambda index, ids: index.add(ids[:2], sample(3, 2)),
    "no vectors": lambda index, ids: index.add(ids[:2]),
    "slots": lambda index, ids: index.add(ids[:1], slots=[0]),
    "twice": lambda index, ids: index.add([ids[0], ids[1], ids[0]], sample(3, 2)),
    "no id": lambda index, ids: index.add([ids[0], 1.5], sample(2, 2)),
    "text": lambda index, ids: index.add(ids[:1], [["x", "y"]]),
    "a bad callback": lambda index, ids: index.add(ids[:1], sample(1, 2), n_threads=-1),
}


@pytest.mark.parametrize("failing", [*FAILING, "interrupted"])
@pytest.mark.parametrize("ids", [["a", "b"], [UUID, 2**70], [5, 6]], ids=["text", "others", "integers"])
@pytest.mark.parametrize("kind", ALL)
def test_an_addition_that_fails_leaves_no_ids(kind, ids, failing, monkeypatch):
    for filled in (False, True):
        index = kind(2)
        if filled:
            index.add([10, 11, 12], sample(3, 2))
        before = index.ids.tolist()
        if failing == "interrupted":
            interrupting(monkeypatch, after=False)
            with pytest.raises(Interrupted):
                index.add(ids, sample(2, 2))
        else:
            with pytest.raises((ValueError, TypeError)):
                FAILING[failing](index, ids)
        assert index.ids.tolist() == before
        assert index.ids.dtype == np.int64
        assert not any(one in index for one in ids)
        assert index.knn(4, queries=sample(1, 2))[0].dtype == np.int64
        assert index.add(None, sample(1, 2)).tolist() == [13 if filled else 0]
        assert index.add(ids, sample(2, 2)).tolist() == ids


def test_an_interrupt_when_all_is_done_leaves_ids_and_vectors_together(monkeypatch):
    index = BruteForce(2)
    interrupting(monkeypatch, after=True)
    with pytest.raises(Interrupted):
        index.add(["a", "b"], [[1, 0], [2, 0]])
    assert index.ids.tolist() == ["a", "b"]
    assert index.knn(1, queries=[[2, 0]])[0].tolist() == [["b"]]
    interrupting(monkeypatch, after=True)
    with pytest.raises(Interrupted):
        index.remove("a")
    assert index.ids.tolist() == ["b"]
    assert index.add(["a"], [[3, 0]]).tolist() == ["a"]
    interrupting(monkeypatch, after=False)
    with pytest.raises(Interrupted):
        index.remove("a")
    assert index.ids.tolist() == ["b", "a"]
    assert index.get("a").tolist() == [3, 0]


@pytest.mark.parametrize("kind", ALL)
def test_an_update_that_fails_changes_nothing(kind):
    index = kind(2)
    index.add(["a", "b", "c"], sample(3, 2))
    for call in (lambda: index.update(["a"], NAN), lambda: index.update(["a", "z"], sample(2, 2)),
                 lambda: index.update(["a", "b"], sample(1, 2)), lambda: index.update(["a"], sample(1, 3)),
                 lambda: index.update(["a", "a"], sample(2, 2)), lambda: index.update([1.5], sample(1, 2)),
                 lambda: index.update(["a"])):  # fmt: skip
        with pytest.raises((ValueError, TypeError, KeyError)):
            call()
        assert index.ids.tolist() == ["a", "b", "c"]
        assert index.get(["a", "b", "c"]).tolist() == sample(3, 2).tolist()


def test_an_addition_that_fails_decides_nothing_about_storage(tmp_path):
    index = HNSW(32)
    index.add(None, sample(10, 32))
    shares = []

    def end(share):
        shares.append(share)
        if len(shares) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        index.add(None, sample(60_000, 32, 1), progress=end)
    index.save(tmp_path / "index")
    # -1: not decided yet whether bytes are stored, too. Ten vectors are too few for that.
    assert file_reader.read((tmp_path / "index").read_bytes()).sections["settings"][10] == -1
    assert len(index) == 10


def test_an_addition_to_a_store_that_fails_leaves_no_names(store, tmp_path):
    store.add("there", [1, 2])
    before = store.stats()
    bad_ids = [["a", "there"], ["a", "a"], ["a"], ["a", 1.5], ["a", "\ud800"], ["a", 2**63]]
    bad_vectors = [[[1, 2], [np.nan, 0]], sample(2, 3)]
    for ids, vectors in [*((ids, sample(2, 2)) for ids in bad_ids), *((["a", "b"], rows) for rows in bad_vectors)]:
        with pytest.raises((ValueError, TypeError)):
            store.add_batch(ids, vectors)
        assert list(store) == ["there"]
        after = store.stats()
        assert (after.n_unique, after.n_slots, after.generation) == (1, before.n_slots, before.generation)
    store.check()
    store.add_batch(["a", "b"], sample(2, 2))
    assert list(store) == ["there", "a", "b"]
