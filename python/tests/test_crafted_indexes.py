"""Files of indexes with numbers in range that contradict each other: changes rely on more than searches do."""

import json

import file_reader
import numpy as np
import pytest

from covertreex import CoverTreeError
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree, load

DIM, N = 4, 90


def vectors(seed=0, n=N):
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def with_twins():
    made = vectors()
    made[10::20] = made[10]  # 10, 30, 50, 70 are equal
    return made


def sections(index, path):
    index.add(None, with_twins())
    if isinstance(index, KDTree):
        index.remove(range(30))  # forgotten: a small tree has boxes then
    index.save(path)
    return file_reader.read(path.read_bytes())


def a_graph(path):
    file = sections(HNSW(DIM, m=3, seed=1), path)
    levels = file.sections["graph.levels"].ravel()
    assert (levels == 1).sum() > 2 and (levels == 0).sum() > 2
    assert file.sections["graph.nodes"].ravel()[[10, 30, 50, 70]].tolist() == [10] * 4
    return file


def shared_lists(s):
    on_first = np.flatnonzero(s["graph.levels"] == 1)
    s["graph.upper_first"][on_first] = s["graph.upper_first"][on_first[0]]


def overlapping_lists(s):
    s["graph.upper_first"][np.flatnonzero(s["graph.levels"])[0]] += 1


def lists_of_the_lowest_level(s):
    s["graph.upper_first"][np.flatnonzero(s["graph.levels"] == 0)] = 0


def lists_without_a_vector(s):
    s["graph.upper_links"] = np.r_[s["graph.upper_links"], np.full((3, 1), -1, np.int32)]


def links_behind_the_end(s):
    links = s["graph.links"]
    row = next(row for row in links if row[0] >= 0 and row[-1] < 0)
    row[-1], row[-2] = row[0], -1


def links_of_a_twin(s):
    s["graph.links"][30] = s["graph.links"][10]


def a_twin_on_a_higher_level(s):
    s["graph.levels"][30], s["graph.upper_first"][30] = 1, len(s["graph.upper_links"])
    lists_without_a_vector(s)


def two_before_one_twin(s):
    s["graph.next_twin"][10] = 50  # as 30


def a_twin_left_out(s):
    s["graph.next_twin"][10], s["graph.next_twin"][30] = 50, -1


def twins_without_a_beginning(s):
    s["graph.next_twin"][10] = -1


def a_serial_twice(s):
    s["serials"][5] = s["serials"][4]


def serials_in_another_order(s):
    s["serials"][:10] = s["serials"][:10][::-1]
    s["serials"][5] = s["serials"][4]


def a_next_id_in_use(s):
    s["settings"][2] = N - 1


def a_next_id_below_zero(s):
    s["settings"][2] = -3


def an_index_twice(s):
    s["boxes.labels"][1] = s["boxes.labels"][0]


def a_middle_that_is_nan(s):
    s["planes.middles"][0] = np.nan


def a_length_that_is_infinite(s):
    s["planes.longest"][0] = np.inf


CRAFTED = [
    *((HNSW, "upper_first", change) for change in (
        shared_lists, overlapping_lists, lists_of_the_lowest_level, lists_without_a_vector)),
    *((HNSW, "graph.links", change) for change in (links_behind_the_end, links_of_a_twin, a_twin_on_a_higher_level)),
    *((HNSW, "next_twin", change) for change in (two_before_one_twin, a_twin_left_out, twins_without_a_beginning)),
    *((BruteForce, message, change) for message, change in (
        ("serials", a_serial_twice), ("serials", serials_in_another_order),
        ("next id", a_next_id_in_use), ("next id", a_next_id_below_zero))),
    (KDTree, "boxes.labels", an_index_twice),
    *((LSH, "planes", change) for change in (a_middle_that_is_nan, a_length_that_is_infinite)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "change"), CRAFTED, ids=lambda one: getattr(one, "__name__", None))
def test_a_file_that_contradicts_itself_is_refused(kind, message, change, tmp_path):
    path = tmp_path / "index"
    file = a_graph(path) if kind is HNSW else sections(kind(DIM), path)
    changed = {name: array.copy() for name, array in file.sections.items()}
    change(changed)
    assert any(not np.array_equal(changed[name], array) for name, array in file.sections.items())
    path.write_bytes(file_reader.write(file_reader.File(file.kind, file.input_hash, changed)))
    with pytest.raises(CoverTreeError, match=message):
        load(path, mmap=False).knn(1, queries=vectors()[:1])


@pytest.mark.parametrize("change", ["one left out", "another number", "one too many"])
def test_names_that_are_not_those_of_the_vectors(change, tmp_path):
    """A failed addition gave its name to a vector that had none."""
    path = tmp_path / "index"
    index = BruteForce(DIM)
    index.add(["a", "b", "c"], vectors()[:3])
    index.remove(["b"])
    index.save(path)
    assert load(path).ids.tolist() == ["a", "c"]
    file = file_reader.read(path.read_bytes())
    names, keys = {
        "one left out": (["a"], [0]),
        "another number": (["a", "c"], [0, 1]),
        "one too many": (["a", "b", "c"], [0, 1, 2]),
    }[change]
    text = json.dumps([["str", name] for name in names]).encode()
    changed = {"covertreex.ids": np.frombuffer(text, np.uint8)[:, None], "covertreex.keys": np.array(keys)[:, None]}
    path.write_bytes(file_reader.write(file_reader.File(4, 0, {**file.sections, **changed})))
    with pytest.raises(ValueError, match=r"^covertreex.ids: .*numbers are not those"):
        load(path)


def test_serials_and_lists_in_another_order_are_right(tmp_path):
    """As they are once vectors have been put in another order."""
    index = HNSW(DIM, m=3, seed=1)
    index.add(None, with_twins())
    index.optimize()
    index.save(tmp_path / "index")
    file = file_reader.read((tmp_path / "index").read_bytes()).sections
    assert (np.diff(file["serials"].ravel()) < 0).any()
    assert (np.diff(file["graph.upper_first"][file["graph.levels"] > 0]) < 0).any()
    again = load(tmp_path / "index")
    for one in (index, again):
        one.add(None, vectors(1))
        one.remove(range(10, 60))
        one.optimize()
    np.testing.assert_array_equal(again.knn(5, queries=vectors(2))[0], index.knn(5, queries=vectors(2))[0])
    assert again.ids.tolist() == index.ids.tolist()


def test_equal_vectors_are_in_order_of_arrival_whatever_their_rows(tmp_path):
    """A graph that was built again had them in the order of rows, and could not be opened once it was saved."""
    path = tmp_path / "index"
    file = a_graph(path)
    changed = {name: array.copy() for name, array in file.sections.items()}
    for name in ("exact.rows", "small.rows", "small.scales", "small.lengths"):
        if name in changed:
            changed[name][31] = changed[name][5]
    changed["serials"][[5, 31]] = changed["serials"][[31, 5]]
    path.write_bytes(file_reader.write(file_reader.File(4, 0, changed)))
    index = load(path)
    index.rebuild()
    index.save(path)
    for one in (index, load(path)):
        assert one.knn(2, queries=with_twins()[[5, 10]])[0].tolist() == [[31, 5], [10, 30]]
        assert one.knn(1, queries=with_twins()[[5]])[0].tolist() == [[31]]


def test_the_next_ids_after_the_largest(tmp_path):
    """Where no number follows, none is given; other ids are still taken."""
    index = BruteForce(DIM)
    index.add([2**63 - 1, -(2**63)], vectors()[:2])
    index.save(tmp_path / "index")
    again = load(tmp_path / "index")
    with pytest.raises(ValueError, match="no numbers are left"):
        again.add(None, vectors()[:1])
    again.add([7], vectors()[:1])
    assert sorted(again.ids.tolist()) == [-(2**63), 7, 2**63 - 1]


def test_a_cancelled_addition_leaves_a_graph_that_can_be_saved_and_changed(tmp_path):
    """Lists of vectors that were taken back stayed: links in them led to rows that are not there."""
    index = HNSW(DIM, m=3, seed=1)
    index.add(None, vectors())

    def stop(share):
        if share > 0:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        index.add(None, vectors(1, 100_000), progress=stop)
    index.save(tmp_path / "index")
    file = file_reader.read((tmp_path / "index").read_bytes()).sections
    assert len(file["graph.upper_links"]) == 3 * file["graph.levels"].sum()
    again = load(tmp_path / "index")
    for one in (index, again):
        one.optimize()
        one.remove(range(40))
        one.add(None, vectors(2))
    np.testing.assert_array_equal(again.knn(5, queries=vectors(3))[0], index.knn(5, queries=vectors(3))[0])
