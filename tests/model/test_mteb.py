"""A model in the Massive Text Embedding Benchmark: tiny tasks, built here, without a network."""

import numpy as np
import pytest
import stub_model
import torch
from PIL import Image

mteb = pytest.importorskip("mteb", reason="the extra `mteb` is not installed")

from datasets import Dataset  # noqa: E402
from mteb.abstasks.classification import AbsTaskClassification  # noqa: E402
from mteb.abstasks.retrieval import AbsTaskRetrieval  # noqa: E402
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402
from mteb.mocks import mock_tasks  # noqa: E402

from exmcr.model.mteb_encoder import MTEBEncoder, raw  # noqa: E402

RNG = np.random.default_rng(0)
TEXTS = ["a dog", "the sea at night", "a red car", "two birds"]
PICTURES = [Image.fromarray(RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)) for _ in TEXTS]
SOUNDS = [
    {"array": RNG.uniform(-0.5, 0.5, 900).astype(np.float32), "sampling_rate": 8000} for _ in TEXTS
]
GENERAL = dict(
    description="tiny",
    reference="https://example.org",
    dataset={"path": "none", "revision": "1"},
    eval_splits=["test"],
    eval_langs=["eng-Latn"],
    date=("2020-01-01", "2020-12-31"),
    domains=[],
    task_subtypes=[],
    license="cc0-1.0",
    annotations_creators="derived",
    dialect=[],
    sample_creation="found",
    bibtex_citation="",
)


@pytest.fixture
def encoder(monkeypatch):
    stub_model.use(monkeypatch)
    return MTEBEncoder(stub_model.stub_model(), "exmcr/tiny")


def retrieval(name, query, document, queries, documents):
    """A task whose query i has document i as its answer."""
    metadata = TaskMetadata(
        type="Any2AnyRetrieval",
        name=name,
        main_score="ndcg_at_10",
        category=f"{query[0]}2{document[0]}",
        modalities=sorted({query, document}),
        **GENERAL,
    )
    count = range(len(TEXTS))

    def load_data(self, num_proc=None, **_):
        data = RetrievalSplitData(
            queries=Dataset.from_dict({"id": [f"q{n}" for n in count], query: queries}),
            corpus=Dataset.from_dict({"id": [f"d{n}" for n in count], document: documents}),
            relevant_docs={f"q{n}": {f"d{n}": 1} for n in count},
            top_ranked=None,
        )
        self.dataset = {"default": {"test": data}}
        self.data_loaded = True

    return type(name, (AbsTaskRetrieval,), {"metadata": metadata, "load_data": load_data})()


def evaluate(encoder, task):
    result = mteb.evaluate(
        encoder, task, cache=None, encode_kwargs={"batch_size": 3}, show_progress_bar=False
    )
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize(
    ("query", "document", "queries", "documents"),
    [
        ("text", "image", TEXTS, PICTURES),
        ("image", "text", PICTURES, TEXTS),
        ("audio", "text", SOUNDS, TEXTS),
        ("audio", "image", SOUNDS, PICTURES),
    ],
    ids=["t2i", "i2t", "a2t", "a2i"],
)
def test_retrieval_between_modalities_scores_what_the_vectors_say(
    encoder, query, document, queries, documents
):
    scores = evaluate(
        encoder,
        retrieval("Tiny" + query.title() + document.title(), query, document, queries, documents),
    )
    vectors = [
        encoder.model.encode({m: [raw(m, item) for item in items]})[m]
        for m, items in ((query, queries), (document, documents))
    ]
    ranks = np.argsort(np.argsort(-(vectors[0] @ vectors[1].T), axis=1), axis=1).diagonal()
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(1 / np.log2(ranks + 2)), abs=1e-4)


def test_a_modality_that_finds_itself_is_perfect(encoder):
    assert (
        evaluate(encoder, retrieval("TinySame", "image", "image", PICTURES, PICTURES))["ndcg_at_10"]
        == 1
    )


def tone(pitch):
    samples = 0.005 * np.sin(np.arange(900) * pitch / 8000 * 2 * np.pi).astype(np.float32)
    return {"array": samples, "sampling_rate": 8000}


CLASSES = {
    "image": [
        [Image.new("RGB", (9, 9), (250, n % 5, 0)), Image.new("RGB", (9, 9), (0, n % 5, 250))]
        for n in range(20)
    ],
    "audio": [[tone(300 + n % 5), tone(900 + n % 5)] for n in range(20)],
}


@pytest.mark.parametrize("modality", CLASSES)
def test_classification_by_a_linear_probe(encoder, modality):
    items = [item for pair in CLASSES[modality] for item in pair]
    data = Dataset.from_dict({modality: items, "label": [0, 1] * 20})
    metadata = TaskMetadata(
        type=f"{modality.title()}Classification",
        name=f"Tiny{modality}",
        main_score="accuracy",
        category=f"{modality[0]}2c",
        modalities=[modality],
        **GENERAL,
    )

    def load_data(self, num_proc=None, **_):
        self.dataset, self.data_loaded = {"default": {"train": data, "test": data}}, True

    members = {
        "metadata": metadata,
        "load_data": load_data,
        "input_column_name": modality,
        "n_experiments": 2,
        "samples_per_label": 4,
    }
    assert (
        evaluate(encoder, type(f"Tiny{modality}", (AbsTaskClassification,), members)())["accuracy"]
        > 0.7
    )


# Those of its audio kinds need torchcodec and FFmpeg.
MOCKS = [
    "MockImageTextPairClassificationTask",
    "MockSTSTask",
    "MockImageRegressionTask",
    "MockImageClusteringFastTask",
]


@pytest.mark.parametrize("name", MOCKS)
def test_other_kinds_of_tasks_run(encoder, name):
    task = getattr(mock_tasks, name)()
    assert np.isfinite(evaluate(encoder, task)["main_score"])


def test_items_of_several_modalities_are_sums_and_unusable_ones_one_fixed_vector(encoder):
    batch = {"text": ["a dog", "", "a cat"], "image": [PICTURES[0], None, None]}
    vectors = encoder.encode(
        [
            batch,
            {"audio": [SOUNDS[0]]},
            {"audio": [{"array": np.zeros(900), "sampling_rate": 8000}]},
        ]
    )
    model = encoder.model
    dog, red = model.encode({"text": ["a dog"], "image": PICTURES[:1]}).values()
    np.testing.assert_allclose(vectors[:1], model.combine([dog, red]), atol=1e-6)
    np.testing.assert_allclose(vectors[2], model.encode("a cat"), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert [kind for kind, _ in encoder.unusable] == ["text", "audio"]
    np.testing.assert_array_equal(vectors[1], vectors[4])
    assert encoder.encode([]).shape == (0, 16)


def test_tensors_and_channels_become_what_the_loaders_take():
    pixels = raw("image", torch.rand(3, 4, 5))
    assert pixels.shape == (4, 5, 3) and pixels.dtype == np.uint8
    assert raw("audio", {"array": np.zeros((2, 900)), "sampling_rate": 8000})[0].shape == (900, 2)


def test_the_metadata_name_the_model(encoder):
    meta = encoder.mteb_model_meta
    assert meta.name == "exmcr/tiny" and meta.modalities == ["text", "image", "audio"]
    assert meta.embed_dim == 16 and meta.similarity_fn_name == "cosine"
    other = MTEBEncoder(encoder.model, "exmcr/tiny", seed=5)
    assert other.mteb_model_meta.revision != meta.revision and isinstance(
        encoder, mteb.EncoderProtocol
    )
