"""Tables in files: what is a header, which columns are coordinates, and where the fault is."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
import pyarrow
from pyarrow import parquet
from typer.testing import CliRunner

from covertreex import load
from covertreex._tables.delimited import has_names
from covertreex.cli import app
from covertreex.cli._tables import read_points


@pytest.fixture
def write(tmp_path):
    """Write a file, and return its path."""

    def written(content, name="points.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def table(tmp_path):
    """Write a Parquet file of some columns, two rows a group."""

    def written(columns):
        path = tmp_path / "points.parquet"
        parquet.write_table(columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns), path,
                            row_group_size=2)  # fmt: skip
        return path

    return written


def read_with_report(path, **options):
    """The points, and the report of how they were read."""
    read = read_points(path, **options)
    return read.points.tolist(), str(read)


# Text


def test_commas_inside_of_quotes():
    airportsdata = pytest.importorskip("airportsdata")
    path = Path(airportsdata.__file__).with_name("airports.csv")
    read = read_points(path, columns="lon,lat")
    wanted = [[one["lon"], one["lat"]] for one in airportsdata.load().values()]
    np.testing.assert_array_equal(read.points, wanted)
    assert str(read) == f"header in line 1; columns lon, lat; {len(wanted):,} rows"
    with pytest.raises(ValueError, match=r"airports.csv: line 2, column icao: expected a finite number, got '00AA'"):
        read_points(path)


def test_quoted_fields(write):
    path = write('name,lon,note,lat\r\n"Berlin, Tegel",13.29,"a ""b""\nc",52.56\r\n"x",-1,",,",2\r\n')
    assert read_with_report(path, columns="lon,lat")[0] == [[13.29, 52.56], [-1, 2]]
    path = write('"x, km",y,z\n1,2,3\n4,5,6\n')
    assert read_with_report(path, columns="y") == ([[2], [5]], "header in line 1; columns y; 2 rows")
    assert read_with_report(path, columns='z,"x, km"') == (
        [[3, 1], [6, 4]],
        "header in line 1; columns z, 'x, km'; 2 rows",
    )
    with pytest.raises(ValueError, match="has no column 'x'; there are 'x, km', y, z"):
        read_points(path, columns="x, km")


@pytest.mark.parametrize(
    ("text", "header", "columns", "points"),
    [
        ("x,y\n1,2\n", "line 1", ["x", "y"], [[1, 2]]),
        ("1,2\n3,4\n", "none", ["0", "1"], [[1, 2], [3, 4]]),
        ("\ufeff1,2\n3,4\n", "none", ["0", "1"], [[1, 2], [3, 4]]),
        ("\ufeffx,y\n3,4\n", "line 1", ["x", "y"], [[3, 4]]),
        ('\ufeff"x",y\n3,4\n', "line 1", ["x", "y"], [[3, 4]]),
        ("0,1\n0.5,2.0\n1e-07,3.5\n", "line 1", ["0", "1"], [[0.5, 2], [1e-07, 3.5]]),
        ("0,1,2\n0.5,2.0,1.0\n", "line 1", ["0", "1", "2"], [[0.5, 2, 1]]),
        (",0,1\n0,0.5,2.0\n1,3.0,4.0\n", "line 1", ["0", "1"], [[0.5, 2], [3, 4]]),
        (",0,1\n0,5,2\n1,3,4\n", "line 1", ["0", "1"], [[5, 2], [3, 4]]),
        (",x,y\n0,5,2\n", "line 1", ["x", "y"], [[5, 2]]),
        ("name,2020,2021\n7,5,2\n", "line 1", ["name", "2020", "2021"], [[7, 5, 2]]),
        ("0,0\n1,1\n", "none", ["0", "1"], [[0, 0], [1, 1]]),
        ("1,0\n0,1\n", "none", ["0", "1"], [[1, 0], [0, 1]]),
        ("# x,y\n1,2\n", "line 1", ["x", "y"], [[1, 2]]),
        ("# x,y\n0,1\n1,2\n", "line 1", ["x", "y"], [[0, 1], [1, 2]]),
        ("# made by hand, in 2020\nx,y\n1,2\n", "line 2", ["x", "y"], [[1, 2]]),
        ("# made by hand\n\n1,2\n", "none", ["0", "1"], [[1, 2]]),
        ("\n\nx , y\n\n 1, 2\n", "line 3", ["x", "y"], [[1, 2]]),
        ('"x\nkm",y\r1,2\r3,4', "line 1", ["x\nkm", "y"], [[1, 2], [3, 4]]),
        ("x\n1\n\n2\n", "line 1", ["x"], [[1], [2]]),
        ("+1,-.5\n1E3,2.\n", "none", ["0", "1"], [[1, -0.5], [1000, 2]]),
    ],
)
def test_meaning_of_the_first_line(write, text, header, columns, points):
    read = read_points(write(text))
    assert (read.header, list(read.columns), read.points.tolist()) == (header, columns, points)


@pytest.mark.parametrize(
    "text", ["0,1\n5,2\n", "0,1\n", "0\n1\n2\n", "0,1\n0.5,2\n", "a,1,2\nb,3,4\n", "n.a.,1.5,2\n1,2,3\n"]
)
def test_a_first_line_that_may_be_either_is_refused(write, text):
    path = write(text)
    with pytest.raises(ValueError, match=r"points.csv: line 1 \(.*\) may have names .* --header or --no-header"):
        read_points(path)
    columns = "1,2" if text[0] in "an" else None
    rows = text.count("\n")
    if text[0] != "n":
        assert len(read_points(path, header=False, columns=columns).points) == rows
    if rows > 1:
        assert len(read_points(path, header=True, columns=columns).points) == rows - 1


def test_a_header_that_is_given(write):
    path = write("1,2\n3,4\n")
    assert read_with_report(path, header=True) == ([[3, 4]], "header in line 1; columns 1, 2; 1 row")
    assert read_with_report(path, header=True, columns="2")[0] == [[4]]
    with pytest.raises(ValueError, match="line 1, column 0: expected a finite number, got 'x'"):
        read_points(write("x,y\n1,2\n"), header=False)
    with pytest.raises(ValueError, match="--header and --no-header are for text"):
        read_points(write("", "points.parquet"), header=True)


def test_the_index_of_a_frame_is_left_out(write):
    path = write(",0,1\n3,0.5,2.0\n4,3.5,4.0\n")
    assert read_with_report(path) == (
        [[0.5, 2], [3.5, 4]],
        "header in line 1; columns 0, 1; left out 0 (index); 2 rows",
    )
    assert read_with_report(path, columns="0")[0] == [[0.5], [3.5]]
    assert read_with_report(write(",x\n3,0.5\n"), columns="0,x")[0] == [[3, 0.5]]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("names", [None, ["x, km", "y"]])
def test_reads_tables_written_by_pandas(tmp_path, index, names):
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(0).standard_normal((50, 2))
    values[7] = 1, 1e-7
    frame = pandas.DataFrame(values, columns=names)
    frame.to_csv(tmp_path / "points.csv", index=index)
    np.testing.assert_array_equal(read_points(tmp_path / "points.csv").points, values)
    frame.iloc[::2].to_csv(tmp_path / "some.tsv.gz", index=index, sep="\t")
    read = read_points(tmp_path / "some.tsv.gz")
    np.testing.assert_array_equal(read.points, values[::2])
    assert list(read.columns) == (names or ["0", "1"])


def test_reads_text_written_by_numpy(tmp_path):
    values = np.random.default_rng(0).standard_normal((50, 2))
    np.savetxt(tmp_path / "points.csv", values, delimiter=",", header="lon,lat")
    read = read_points(tmp_path / "points.csv")
    np.testing.assert_array_equal(read.points, values)
    assert str(read) == "header in line 1; columns lon, lat; 50 rows"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n\n3,4,5\n", "line 4: expected 2 fields, got 3"),
        ("x,y\n1,2\n3\n", "line 3: expected 2 fields, got 1"),
        ("x,y\n1,2,3\n", "line 2: expected 2 fields, got 3"),
        ("x,y\n1,2\n3,four\n", "line 3, column y: expected a finite number, got 'four'"),
        ('x,note,y\n1,"a\nb",2\n3,c,4\n5,d,\n', "line 5, column y: expected a finite number, got an empty field"),
        (",1,2\n3,4,5\n", "line 1, column 0: expected a finite number, got an empty field"),
        ("1,NA\n3,4\n", "line 1, column 1: expected a finite number, got 'NA'"),
        ("1,2\nnan,4\n", "line 2, column 0: expected a finite number, got 'nan'"),
        ("1,2\n3,-inf\n", "line 2, column 1: expected a finite number, got '-inf'"),
        ("1,2\n3,1e999\n", "line 2, column 1: expected a finite number, got '1e999'"),
        ("1,2\n1_0,4\n", "line 2, column 0: expected a finite number, got '1_0'"),
        ("1,2\n0x10,4\n", "line 2, column 0: expected a finite number, got '0x10'"),
        ("x;y\n1;2\n", "line 2, column x;y: expected a finite number, got '1;2'"),
        ("", "has no rows"),
        ("\n# nothing\n", "has no rows"),
        ("x,y\n\n", "has no rows below the names in line 1"),
        ("x,y\n1,2\n".encode("utf-16"), "line 1: expected text in UTF-8"),
    ],
)
def test_errors_locate_faults_in_text(write, text, words):
    path = write(text)
    columns = "x,y" if b"note" in path.read_bytes() else None
    with pytest.raises(ValueError) as refused:
        read_points(path, columns=columns)
    assert str(refused.value).startswith(f"{path}: {words}")


def test_errors_locate_faults_far_down_too(write):
    rows = [f"{row},0.5" for row in range(200_000)]
    rows[150_000] = "1,"
    path = write("x,y\n" + "\n".join(rows))
    with pytest.raises(ValueError, match=r"line 150002, column y: expected a finite number, got an empty field"):
        read_points(path)
    assert read_points(path, columns="x").points[150_001] == 150_001
    rows[150_000] = "1,2,3"
    with pytest.raises(ValueError, match=r"line 150002: expected 2 fields, got 3"):
        read_points(write("x,y\n" + "\n".join(rows)), columns="x")


def test_columns_by_name_and_number(write):
    path = write("x,x,1\n3,4,5\n")
    with pytest.raises(ValueError, match="has 2 columns 'x'; choose by number, 0 to 2"):
        read_points(path, columns="x")
    assert read_with_report(path, columns="0,1")[0] == [[3, 5]]  # a name goes before a number
    assert read_with_report(path, columns="2,2")[0] == [[5, 5]]
    for columns in ("3", "y", "-1"):
        with pytest.raises(ValueError, match=f"points.csv: has no column '{columns}'; there are x, x, 1"):
            read_points(path, columns=columns)
    with pytest.raises(ValueError, match="expected at least one column, got none"):
        read_points(path, columns="")


def test_records_longer_than_a_megabyte(write):
    values = np.random.default_rng(0).random((2, 60_000))
    path = write("\n".join(",".join(map(str, row)) for row in values.tolist()))
    assert path.stat().st_size > 2 << 20
    np.testing.assert_array_equal(read_points(path).points, values)


def test_names_that_are_not_utf8(write):
    assert read_with_report(write("größe,y\n1,2\n".encode("latin-1")), columns="y")[0] == [[2]]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("p.csv", ","), ("p.tsv", "\t"), ("p.tab", "\t"), ("p.csv.gz", ","), ("P.TSV.GZ", "\t"), ("p.csv.bz2", ","),
     ("p.csv.zst", ",")],
)  # fmt: skip
def test_kinds_of_text(tmp_path, name, delimiter):
    values = np.random.default_rng(0).random((300, 3))
    text = "\n".join(delimiter.join(map(str, row)) for row in [["x", "y", "z"], *values.tolist()])
    compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(Path(name).suffix.lower())
    with pyarrow.output_stream(tmp_path / name, compression=compression) as file:
        file.write(text.encode())
    read = read_points(tmp_path / name, columns="z,x")
    np.testing.assert_array_equal(read.points, values[:, [2, 0]])


def test_broken_files_are_named(write):
    for content, name in [
        (b"x,y\n1,2\n", "plain.csv.gz"),
        (gzip.compress(b"x,y\n" + b"1,2\n" * 1000)[:-9], "short.csv.gz"),
        (b"PAR1 not", "no.parquet"),
        (b"", "empty.npy"),
        (b"PK no", "no.npz"),
    ]:
        path = write(content, name)
        with pytest.raises((ValueError, OSError)) as refused:
            read_points(path)
        assert str(path) in str(refused.value)
    np.save(write(b"", "text.npy"), np.array(["a"]))
    with pytest.raises(ValueError, match=r"text.npy: expected real numbers, got dtype <U1"):
        read_points(path.with_name("text.npy"))
    np.save(path.with_name("nan.npy"), np.array([[0, 1.0], [2, np.inf]], np.float32))
    with pytest.raises(ValueError, match=r"nan.npy: row 1, column 1: expected a finite number, got inf"):
        read_points(path.with_name("nan.npy"), columns="1")


def test_columns_of_words_are_no_header():
    assert has_names(["a", "b"], [["c", "d"]])
    assert has_names(["0", "1"], [["0.5", "nan"]])
    assert not has_names(["", "1"], [["2", "3"]])
    assert has_names(["a", "1"], []) is None


@pytest.mark.parametrize("name", ["points.csv", "points.tsv.gz", "points.parquet"])
def test_without_pyarrow_it_says_what_to_install(write, monkeypatch, name):
    path = write(b"", name)
    for module in ("pyarrow", "pyarrow.csv", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as refused:
        read_points(path)
    assert str(refused.value) == f"{path}: needs pyarrow: pip install pyarrow"


# Parquet


def test_the_index_of_a_filtered_frame(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2, 3, 4], "y": [5, 6, 7, 8]})
    path = tmp_path / "points.parquet"
    frame[frame.x != 2].to_parquet(path)
    wanted = [[1, 5], [3, 7], [4, 8]]
    assert read_with_report(path) == (wanted, "columns x, y; left out __index_level_0__ (index); 3 rows")
    assert read_with_report(path, columns="__index_level_0__")[0] == [[0], [2], [3]]
    frame.set_index(pandas.Index([4, 1, 8, 2], name="place")).to_parquet(path)
    assert read_with_report(path) == (frame.to_numpy().tolist(), "columns x, y; left out place (index); 4 rows")
    frame.to_parquet(path)
    assert read_with_report(path) == (frame.to_numpy().tolist(), "columns x, y; 4 rows")


def test_an_index_whose_metadata_is_lost(table):
    assert read_with_report(table({"x": [1.0], "__index_level_0__": [7]}))[0] == [[1]]
    schema = pyarrow.schema([("x", pyarrow.float64())], metadata={"pandas": "no JSON"})
    assert read_with_report(table(pyarrow.table({"x": [1.0]}, schema=schema)))[0] == [[1]]


LISTS = {
    "lists": pyarrow.list_(pyarrow.float32()),
    "large lists": pyarrow.large_list(pyarrow.float32()),
    "lists of one size": pyarrow.list_(pyarrow.float32(), 2),
}


@pytest.mark.parametrize("kind", LISTS)
def test_columns_of_lists(table, kind):
    rows = [[1.5, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    path = table({"embedding": pyarrow.array(rows, LISTS[kind])})
    read = read_points(path)
    assert (read.points.tolist(), read.points.dtype) == (rows, np.float32)
    path = table({"id": range(5), "text": list("abcde"), "embedding": pyarrow.array(rows, LISTS[kind])})
    with pytest.raises(ValueError, match=r"cannot tell which columns .* id \(int64\), text \(string\), embedding \("):
        read_points(path)
    assert read_with_report(path, columns="embedding")[0] == rows
    assert read_with_report(path, columns="id,embedding")[0] == [[i, *row] for i, row in enumerate(rows)]
    if kind != "lists of one size":
        with pytest.raises(ValueError, match="row 3, column 'e': expected a list of 2 numbers, as above, got 1"):
            read_points(table({"e": pyarrow.array([*rows[:3], [7]], LISTS[kind])}))
    for bad, words in [(None, "expected numbers, got null"), ([1, None], "expected a finite number, got null"),
                       ([1, float("nan")], "expected a finite number, got nan")]:  # fmt: skip
        with pytest.raises(ValueError, match=f"points.parquet: row 3, column 'e': {words}"):
            read_points(table({"e": pyarrow.array([*rows[:3], bad], LISTS[kind])}))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"x": [1.0, 2, 3, None]}, "row 3, column 'x': expected numbers, got null"),
        ({"x": [1.0, 2, 3, float("inf")]}, "row 3, column 'x': expected a finite number, got inf"),
        ({"x": [1, 2], "y": ["a", "b"]}, "cannot tell which columns"),
        ({"x": [[1.0], [2.0]], "y": [1, 2]}, "cannot tell which columns"),
        ({"x": [[[1.0]], [[2.0]]]}, "cannot tell which columns"),
        ({"__index_level_0__": [1, 2]}, "cannot tell which columns"),
        (pyarrow.table([[1.0], [2.0]], names=["x", "x"]), "has 2 columns 'x', expected names that differ"),
    ],
)
def test_errors_locate_faults_in_parquet(table, columns, words):
    path = table(columns)
    with pytest.raises(ValueError) as refused:
        read_points(path)
    assert str(refused.value).startswith(f"{path}: {words}")


def test_columns_of_words_cannot_be_chosen(table):
    path = table({"x": [1, 2], "y": ["a", "b"]})
    assert read_with_report(path, columns="x")[0] == [[1], [2]]
    with pytest.raises(ValueError, match="column 'y': expected numbers, got string"):
        read_points(path, columns="y")


def test_types_of_numbers(table):
    half, single = pyarrow.float16(), pyarrow.float32()
    for kinds, dtype in [((half, single), np.float32), ((single, pyarrow.int32()), np.float64),
                         ((pyarrow.bool_(), pyarrow.uint8()), np.uint8),
                         ((pyarrow.decimal128(5, 2), single), np.float64)]:  # fmt: skip
        columns = [pyarrow.array(np.arange(2.0)).cast(kind) for kind in kinds]
        read = read_points(table(dict(zip("xy", columns))))
        assert (read.points.tolist(), read.points.dtype) == ([[0, 0], [1, 1]], dtype)


# What the command says


def test_the_command_reports_columns_and_rows(write):
    path = write('"x, km",y,z\n1,2,3\n4,5,6\n')
    tree = path.with_name("tree.ct")
    done = CliRunner().invoke(app, ["build", str(path), str(tree), "--columns", "y,z"], catch_exceptions=False)
    assert f"{path}: header in line 1; columns y, z; 2 rows\n" in done.stdout
    np.testing.assert_array_equal(load(tree).export_arrays().points[:, 0] % 3, [2, 2])
    queries = write("0,1\n7,8\n", "queries.csv")
    asked = ["query", str(tree), str(queries), "-o", str(path.with_name("found.npz")), "-k", "1", "--json"]
    done = CliRunner().invoke(app, [*asked, "--no-header"], catch_exceptions=False)
    assert json.loads(done.stdout)["read"] == {
        "file": str(queries), "header": "none", "columns": ["0", "1"], "left_out": [], "rows": 2,
    }  # fmt: skip
    done = CliRunner().invoke(app, [*asked, "--header"], catch_exceptions=False)
    assert (json.loads(done.stdout)["queries"], json.loads(done.stdout)["read"]["header"]) == (1, "line 1")
    with pytest.raises(ValueError, match="say which with --header or --no-header"):
        CliRunner().invoke(app, asked, catch_exceptions=False)


def test_many_columns_are_listed_shortly(write):
    names = [f"e{number}" for number in range(40)]
    path = write("\n".join([",".join(names), ",".join("1" * 40)]))
    read = read_points(path)
    assert "columns e0, e1, e2, e3, e4, e5, ..., e39 (40 of them); 1 row" in str(read)
    assert read.facts()["columns"] == names
