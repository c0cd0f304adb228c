"""Tables, geometries and labelled arrays as points, and masked arrays."""

import numpy as np
import pytest

from covertreex import cover_tree, residual_tree, vecchia
from covertreex.kernels import RBF
from covertreex.vecchia import VIF

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

ROWS = np.random.default_rng(3).integers(-9, 9, (60, 2)).astype(float)
ROWS[:, 1] = np.arange(60)  # no ties, and no NaN


def pandas_frame(rows, dtype="float64"):
    return pd.DataFrame({name: pd.array(column, dtype=dtype) for name, column in zip("xy", rows.T)})


def geo_series(rows, **changes):
    """GeoPandas' own series, or one like it."""
    geopandas = pytest.importorskip("geopandas") if changes.pop("real", False) else None
    if geopandas is not None:
        return geopandas.GeoSeries.from_xy(*rows.T)
    n = len(rows)
    attributes = {
        "geom_type": np.full(n, "Point", object), "is_empty": np.zeros(n, bool), "has_z": np.full(n, rows.shape[1] > 2),
        **dict(zip("xyz", rows.T)), **changes,
    }  # fmt: skip
    missing = attributes.pop("missing", np.zeros(n, bool))
    kind = type("GeoSeries", (), {"__module__": "geopandas.geoseries", "isna": lambda self: missing})
    series = kind()
    vars(series).update(attributes)
    return series


def geo_frame(series):
    frame = type("GeoDataFrame", (), {"__module__": "geopandas.geodataframe"})()
    frame.geometry, frame.columns = series, ["name", "geometry"]
    return frame


def dataset(rows):
    xarray = pytest.importorskip("xarray")
    return xarray.Dataset({"x": ("station", rows[:, 0]), "y": ("station", rows[:, 1])})


FRAMES = {
    "pandas": pandas_frame,
    "pandas, integers": lambda rows: pandas_frame(rows, "int64"),
    "pandas, integers and floats": lambda rows: pandas_frame(rows).astype({"x": "int64"}),
    "pandas, Float64": lambda rows: pandas_frame(rows, "Float64"),
    "pandas, Int64": lambda rows: pandas_frame(rows, "Int64"),
    "pandas, Int64 and floats": lambda rows: pandas_frame(rows).astype({"x": "Int64"}),
    "pandas, of Arrow": lambda rows: pandas_frame(rows, "double[pyarrow]"),
    "polars": lambda rows: pl.DataFrame(dict(zip("xy", rows.T))),
    "polars, integers and floats": lambda rows: pl.DataFrame({"x": rows[:, 0].astype(int), "y": rows[:, 1]}),
    "Arrow table": lambda rows: pa.table(dict(zip("xy", rows.T))),
    "Arrow record batch": lambda rows: pa.record_batch(dict(zip("xy", rows.T))),
    "Arrow table of chunks": lambda rows: pa.concat_tables(
        [pa.table(dict(zip("xy", some.T))) for some in (rows[:4], rows[4:])]
    ),
    "GeoSeries": geo_series,
    "GeoSeries of GeoPandas": lambda rows: geo_series(rows, real=True),
    "GeoDataFrame": lambda rows: geo_frame(geo_series(rows)),
    "xarray dataset": dataset,
    "xarray array": lambda rows: pytest.importorskip("xarray").DataArray(rows, dims=("station", "axis")),
    "masked array, nothing masked": lambda rows: np.ma.array(rows, mask=np.zeros(rows.shape, bool)),
}  # fmt: skip


@pytest.fixture(params=FRAMES, scope="module")
def framed(request):
    return FRAMES[request.param]


def test_trees_and_queries(framed):
    expected = cover_tree(ROWS).knn(3)
    tree = cover_tree(framed(ROWS))
    assert tree.dim == 2
    assert np.array_equal(tree.knn(3), expected)
    assert np.array_equal(tree.knn(3, queries=framed(ROWS)), expected)
    assert np.array_equal(tree.radius(1.0, queries=framed(ROWS)).indices, cover_tree(ROWS).radius(1.0).indices)
    assert tree.insert(framed(ROWS[:2])).tolist() == [60, 61]


def test_residual_trees_and_vecchia(framed):
    kernel = RBF(lengthscale=5.0)
    expected = residual_tree(ROWS, kernel, n_inducing=4)
    tree = residual_tree(framed(ROWS), kernel, n_inducing=4)
    assert np.array_equal(tree.knn(3, queries=framed(ROWS[:5])), expected.knn(3, queries=ROWS[:5]))
    sets = vecchia.neighbors(framed(ROWS), kernel=kernel, m=4, n_inducing=4)
    assert np.array_equal(sets.neighbors, vecchia.neighbors(ROWS, kernel=kernel, m=4, n_inducing=4).neighbors)
    model = VIF(framed(ROWS), kernel=kernel, noise=0.1, n_inducing=4, n_neighbors=4)
    same = VIF(ROWS, kernel=kernel, noise=0.1, n_inducing=4, n_neighbors=4)
    y = ROWS[:, 0]
    assert np.array_equal(model.predict(framed(ROWS[:5]), y), same.predict(ROWS[:5], y))


def test_estimators(framed):
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeNeighbors, CoverTreeRegressor, VIFRegressor  # noqa: PLC0415

    y = ROWS[:, 0]
    for model in (CoverTreeNeighbors(3), CoverTreeRegressor(3), VIFRegressor(n_inducing=4, max_iter=0)):
        call = "kneighbors" if hasattr(model, "kneighbors") else "predict"
        found = getattr(model.fit(framed(ROWS), y), call)(framed(ROWS[:5]))
        expected = getattr(model.fit(ROWS, y), call)(ROWS[:5])
        np.testing.assert_allclose(found, expected)


def test_types_of_columns():
    assert cover_tree(pandas_frame(ROWS, "Float32")).dtype == np.float32
    assert cover_tree(pandas_frame(ROWS, "float32")).dtype == np.float32
    assert cover_tree(pl.DataFrame(ROWS.astype(np.float32))).dtype == np.float32
    assert cover_tree(pa.table({"x": ROWS[:, 0].astype(np.float32)})).dtype == np.float32
    assert np.array_equal(cover_tree(pl.DataFrame({"xy": pl.Series(ROWS)})).knn(2), cover_tree(ROWS).knn(2))
    mixed = {"x": [True, False], "y": [0.5, 1.5]}
    for frame in (pd.DataFrame(mixed), pd.DataFrame(mixed).convert_dtypes(), pl.DataFrame(mixed), pa.table(mixed)):
        assert cover_tree(frame).radius(2.0, queries=[[1.0, 0.5]], return_distances=True).distances[0] == 0


@pytest.mark.parametrize(
    "column", [pd.Series([1, 2, 3], dtype="Int64"), pl.Series([1, 2, 3]), pa.chunked_array([[1], [2, 3]])]
)
def test_columns_as_queries_and_targets(column):
    tree = cover_tree(ROWS)
    assert np.array_equal(tree.knn(2, queries=column), tree.knn(2, queries=[1, 2, 3]))
    model = VIF(ROWS[:3], kernel=RBF(lengthscale=5.0), noise=0.1, n_inducing=1, n_neighbors=2)
    assert model.log_likelihood(column) == model.log_likelihood([1.0, 2.0, 3.0])


MISSING = {"x": [0.0, 1.0, 2.0], "y": [5.0, 6.0, None]}
INCOMPLETE = {
    "pandas": (pd.DataFrame(MISSING), r"\[2, 1\]: expected .*finite.*, got nan"),
    "pandas, Float64": (pd.DataFrame(MISSING).convert_dtypes(), r"\[2, 'y'\]: expected a number, got a missing value"),
    "pandas, of Arrow": (
        pd.DataFrame(MISSING).convert_dtypes(dtype_backend="pyarrow"), r"\[2, 'y'\]: expected a number, got a missing"
    ),
    "polars": (pl.DataFrame(MISSING), r"\[2, 'y'\]: expected a number, got a missing value"),
    "Arrow": (pa.table(MISSING), r"\[2, 'y'\]: expected a number, got a missing value"),
}  # fmt: skip


@pytest.mark.parametrize("kind", INCOMPLETE)
def test_missing_values_are_named_by_row_and_column(kind):
    frame, words = INCOMPLETE[kind]
    for call in (cover_tree, lambda points: residual_tree(points, RBF(lengthscale=1.0), n_inducing=1)):
        with pytest.raises(ValueError, match="points" + words):
            call(frame)
    with pytest.raises(ValueError, match="queries" + words):
        cover_tree(ROWS).knn(1, queries=frame)
    with pytest.raises(ValueError, match="points" + words):
        vecchia.neighbors(frame, kernel=RBF(lengthscale=1.0), m=1, n_inducing=1)
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeNeighbors, VIFRegressor  # noqa: PLC0415

    for model in (CoverTreeNeighbors(), VIFRegressor()):
        with pytest.raises(ValueError, match="X" + words):
            model.fit(frame, [1.0, 2.0, 3.0])
    model = CoverTreeNeighbors(1).fit(pandas_frame(ROWS))
    with pytest.raises(ValueError, match="X" + words):
        model.kneighbors(frame)


def test_names_of_features_reach_scikit_learn():
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeNeighbors  # noqa: PLC0415

    assert CoverTreeNeighbors().fit(pandas_frame(ROWS)).feature_names_in_.tolist() == ["x", "y"]
    assert CoverTreeNeighbors().fit(pl.DataFrame(dict(zip("ab", ROWS.T)))).feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"x": [1.0], "city": ["Rome"]}), r"points\['city'\]: expected real numbers"),
        (pd.DataFrame({"x": [1.0], "day": pd.to_datetime(["2020-01-01"])}), r"points\['day'\]: .* datetime64"),
        (pl.DataFrame({"x": [1.0], "city": ["Rome"]}), r"points\['city'\]: expected real numbers, got dtype String"),
        (pl.DataFrame({"x": [1.0]}).lazy(), "points: expected a frame that is collected, got a LazyFrame"),
        (pa.table({"x": [1.0], "city": ["Rome"]}), r"points\['city'\]: expected real numbers"),
    ],
)  # fmt: skip
def test_columns_of_another_type_are_named(frame, words):
    with pytest.raises(TypeError, match=words):
        cover_tree(frame)


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pl.DataFrame(), pa.table({}), pd.Series([1.0]), pl.Series([1.0]), pa.array([1.0])]
)
def test_frames_without_points(frame):
    with pytest.raises(ValueError, match="points: "):
        cover_tree(frame)


def test_geometries():
    three = np.column_stack([ROWS, ROWS[:, 0]])
    assert np.array_equal(cover_tree(geo_series(three)).knn(3), cover_tree(three).knn(3))
    second = np.arange(60) == 1
    for changes, error, words in [
        ({"missing": second}, ValueError, r"points\[1\]: expected a point, got a missing or empty geometry"),
        ({"is_empty": second}, ValueError, r"points\[1\]: expected a point, got a missing or empty geometry"),
        ({"geom_type": np.where(second, "Polygon", "Point")}, TypeError, r"points\[1\]: .* got a Polygon"),
        ({"has_z": ~second}, ValueError, r"points\[1\]: expected three coordinates"),
    ]:
        with pytest.raises(error, match=words):
            cover_tree(geo_series(three, **changes))


def test_a_frame_without_geometry_is_a_table():
    geopandas = pytest.importorskip("geopandas")
    assert np.array_equal(cover_tree(geopandas.GeoDataFrame(pandas_frame(ROWS))).knn(2), cover_tree(ROWS).knn(2))


def test_coordinates_of_a_grid():
    xarray = pytest.importorskip("xarray")
    coords = {
        "lat": [10.0, 20.0],
        "lon": [1.0, 2.0, 3.5],
        "time": np.datetime64("2020-01-01"),
        "run": ("lat", ["a", "b"]),
    }
    field = xarray.DataArray(np.zeros((2, 3)), dims=("lat", "lon"), coords=coords, name="t")
    grid = np.array([[lat, lon] for lat in coords["lat"] for lon in coords["lon"]])

    def points(given):
        return cover_tree(given)._points(np.arange(6))

    assert np.array_equal(points(field.coords), grid)
    assert np.array_equal(points(field.to_dataset()[["lat", "lon"]]), grid)
    assert np.array_equal(points(field.to_dataset()[["lon", "lat"]]), sorted(grid[:, ::-1].tolist()))
    # The points are in the order of the elements of the array.
    assert np.array_equal(points(field.transpose().coords), grid.reshape(2, 3, 2).swapaxes(0, 1).reshape(6, 2))
    assert np.array_equal(points(field.stack(point=("lat", "lon")).coords), grid)
    with pytest.raises(TypeError, match=r"points\['time'\]: expected real numbers, got dtype datetime64"):
        cover_tree(field.expand_dims("time").coords)
    with pytest.raises(ValueError, match="points: "):
        cover_tree(xarray.Dataset())


MASK = np.zeros(ROWS.shape, bool)
MASK[[3, 7], 1] = True


@pytest.mark.parametrize(
    "masked", [np.ma.array(ROWS, mask=MASK), list(np.ma.array(ROWS, mask=MASK)), tuple(np.ma.array(ROWS, mask=MASK))]
)
def test_masked_rows_are_named(masked):
    words = ": expected an array without masked elements, got one in row 3"
    with pytest.raises(ValueError, match="points" + words):
        cover_tree(masked)
    with pytest.raises(ValueError, match="queries" + words):
        cover_tree(ROWS).knn(1, queries=masked)
    with pytest.raises(ValueError, match="points" + words):
        residual_tree(masked, RBF(lengthscale=1.0), n_inducing=1)
    with pytest.raises(ValueError, match="points" + words):
        vecchia.neighbors(masked, kernel=RBF(lengthscale=1.0), m=1, n_inducing=1)
    pytest.importorskip("sklearn")
    from covertreex.sklearn import CoverTreeRegressor, VIFRegressor  # noqa: PLC0415

    for model in (CoverTreeRegressor(), VIFRegressor()):
        with pytest.raises(ValueError, match="X" + words):
            model.fit(masked, ROWS[:, 0])
        with pytest.raises(ValueError, match="y" + words):
            model.fit(ROWS, np.ma.array(ROWS[:, 0], mask=MASK[:, 1]))
    with pytest.raises(ValueError, match="sample_weight" + words):
        VIFRegressor().fit(ROWS, ROWS[:, 0], np.ma.array(np.ones(60), mask=MASK[:, 1]))


def test_one_masked_element():
    with pytest.raises(ValueError, match=r"queries: expected an array without masked elements, got one$"):
        cover_tree(ROWS).knn(1, queries=np.ma.masked)
