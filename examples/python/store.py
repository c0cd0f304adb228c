"""A store of text embeddings: vectors are added once, searched by a graph, copied, and opened again."""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from covertreex import VectorStore
from covertreex.indexes import HNSW

TEXTS = [
    f"{who} {does} {what}."
    for who in ("The gardener", "My neighbour", "A student", "The captain", "Our cat")
    for does in ("waters", "paints", "forgets", "repairs", "dreams of", "sells")
    for what in (
        "the roses", "an old boat", "the fence", "a violin", "the last train", "a map of the sea", "two bicycles"
    )
]  # fmt: skip


def embeddings() -> tuple[list[str], np.ndarray]:
    """Texts, and a vector for each: real embeddings if they are available."""
    real = Path(__file__).parents[3] / "shared" / "data" / "minilm_11k_f16.npy"
    if real.exists():
        vectors = np.load(real).astype(np.float32)
        return [f"sentence {i}" for i in range(len(vectors))], vectors
    if importlib.util.find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer("all-MiniLM-L6-v2")
        return TEXTS, model.encode(TEXTS, normalize_embeddings=True)
    # The sum of the vectors of its words, which are random.
    drawn: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(0)
    rows = []
    for text in TEXTS:
        words = text.lower().strip(".").split()
        rows.append(
            sum(drawn.setdefault(word, rng.standard_normal(128)) for word in words)
        )
    return TEXTS, np.array(rows, np.float32)


texts, vectors = embeddings()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder)
    with VectorStore.open(
        path / "texts.store", vectors.shape[1], sync="normal"
    ) as store:
        # Every third text has a second id with an equal vector.
        slots = store.add_batch(texts, vectors)
        store.add_batch([f"copy of {text}" for text in texts[::3]], vectors[::3])
        print(f"{len(store)} ids, {store.n_unique} vectors")

        # The graph holds slots, and reads the vectors in the store.
        graph = HNSW(store, metric="cosine")
        graph.add(texts)
        text = texts[5]
        found, distances = graph.knn_one(4, query=store.get(text))
        print(f"near {text!r}:")
        for id, distance in zip(found, distances):
            print(f"  {distance:.3f}  {id}")

        store.snapshot(path / "monday.store")
        graph.save(path / "monday.graph")
        store.remove_batch(texts[:50])
        graph.remove(texts[:50])
        store.compact()
        print(f"later: {len(store)} ids, {store.n_unique} vectors")
        graph.close()

    with VectorStore.open(path / "monday.store", read_only=True) as monday:
        monday.check()
        with HNSW.load(path / "monday.graph", store=monday) as graph:
            again, _ = graph.knn_one(4, query=monday.get(text))
        same = again.tolist() == found.tolist()
        print(
            f"on monday: {len(monday)} ids, {monday.n_unique} vectors; the same neighbours: {same}"
        )
