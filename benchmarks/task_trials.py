"""The rows of the tasks' table: what is trained, how, on which files, and which figure it has to reach."""

from dataclasses import dataclass, replace
from typing import Any

from chidu.tasks import Answering, Classification, Coding, Generation, Summarisation, Task, Translation
from chidu.tasks.fresh import Shape
from chidu.tasks.predicting import Decoding
from chidu.tasks.tuning_config import TuneConfig

GREEDY = Decoding()


TRANSLATE = TuneConfig(
    epochs=0,
    minutes=10,
    batch_tokens=1536,
    learning_rate=2e-3,
    embedding_factor=4,
    matrix_rate=0.02,
    dropout=0.0,
    smoothing=0.1,
    evaluations=4,
    valid_batches=6,
    patience=0,
    checkpoint_seconds=300,
)
WRITE = TuneConfig(
    epochs=0,
    minutes=10,
    batch_tokens=1536,
    learning_rate=1e-3,
    embedding_factor=8,
    dropout=0.2,
    smoothing=0.1,
    evaluations=20,
    patience=0,
)
MUON: dict[str, Any] = {"matrix_rate": 0.02, "learning_rate": 2e-3, "embedding_factor": 4}
"""Rates of a few passes from nothing."""
LABEL = TuneConfig(
    epochs=4,
    minutes=15,
    batch_tokens=1024,
    learning_rate=1e-3,
    embedding_factor=20,
    dropout=0.3,
    evaluations=4,
    valid_batches=0,
    patience=0,
    keep_last=True,
)
SPAN = replace(LABEL, epochs=0, minutes=25, dropout=0.2, evaluations=15, valid_batches=32, keep_last=False)
BEAM = Decoding(beams=4, batch=128, tokens=90)
ENCODER = Shape(kind="encoder", width=192, layers=4, heads=4, vocab=8000, context=128)
READER = Shape(kind="encoder", width=128, layers=1, heads=4, vocab=8000, context=128, dense=False)
"""Of short texts: what one layer with fast embeddings lacks, the linear models of n-grams have."""
PAIRS = Shape(width=128, layers=4, feed_forward=256, vocab=5000)


@dataclass(frozen=True)
class Bar:
    """A figure to reach."""

    metric: str
    value: float
    minutes: float = 0.0
    """Holds for budgets of so many minutes or more."""
    lower: bool = False


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A second tuning of the same model, and what it is then examined on."""

    task: Task
    files: str
    config: TuneConfig
    exams: tuple[tuple[str, Decoding, int], ...]
    """Test file, how it is answered, most examples."""
    bars: tuple[Bar, ...] = ()
    """Of the first exam."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One row of the table."""

    task: Task
    files: str
    """Name of the files before `.train.jsonl.gz`."""
    shape: Shape = PAIRS
    config: TuneConfig = TRANSLATE
    how: Decoding = GREEDY
    bars: tuple[Bar, ...] = ()
    more_train: tuple[str, ...] = ()
    """Further training files."""
    also: tuple[str, ...] = ()
    """Further test files of the same model."""
    members: int = 1
    """Models of different seeds, whose mean answers beside the first alone."""
    ensemble: bool = False
    """Whether linear models vote too."""
    mixture: bool = False
    """Whether n-gram models of the training text and of the text itself predict it too."""
    pickers: tuple[int, ...] = ()
    """Instead of a Transformer, a picker of sentence parts, or of spans, with one of so many trees."""
    above: float | None = None
    """How far above its baseline the first metric must be; 0 means that the margin's interval excludes 0."""
    limit: int = 0
    then: Phase | None = None


TRIALS = {
    "multi30k_en_de": Trial(
        task=Translation(source="en", target="de"),
        files="multi30k",
        shape=PAIRS,
        config=TRANSLATE,
        how=BEAM,
        bars=(Bar("BLEU", 35, 10), Bar("BLEU", 38, 30)),
    ),
    "multi30k_de_en": Trial(
        task=Translation(source="de", target="en"),
        files="multi30k",
        shape=PAIRS,
        config=TRANSLATE,
        how=BEAM,
        bars=(Bar("BLEU", 36, 10), Bar("BLEU", 39, 30)),
    ),
    "tatoeba_en_zh": Trial(
        task=Translation(source="en", target="zh"),
        files="tatoeba_enzh",
        shape=replace(PAIRS, vocab=6000),
        config=replace(TRANSLATE, minutes=20, dropout=0.1),
        how=BEAM,
        bars=(Bar("BLEU", 30),),
        above=4,
    ),
    "pydocs_en_zh": Trial(
        task=Translation(source="en", target="zh"),
        files="pydocs_enzh",
        shape=replace(PAIRS, vocab=8000, context=192),
        config=replace(TRANSLATE, minutes=20, batch_tokens=1920),
        how=replace(BEAM, tokens=180, batch=64),
        above=0,
    ),
    "agnews": Trial(
        task=Classification(),
        files="agnews",
        shape=READER,
        config=LABEL,
        members=3,
        bars=(Bar("accuracy", 0.885),),
        ensemble=True,
        above=0,
    ),
    "csl_category": Trial(
        task=Classification(),
        files="csl_category",
        shape=replace(READER, vocab=4000, context=64),
        config=replace(LABEL, epochs=5, batch_tokens=512),
        members=4,
        bars=(Bar("accuracy", 0.80),),
        ensemble=True,
        above=0,
    ),
    "sst2": Trial(
        task=Classification(),
        files="sst2",
        shape=replace(READER, context=96),
        config=replace(LABEL, epochs=3),
        members=3,
        bars=(Bar("accuracy", 0.83),),
        ensemble=True,
        above=0,
    ),
    "cmrc2018": Trial(
        task=Answering(),
        files="cmrc2018",
        also=("xquad_zh.test",),
        pickers=(150,),
        bars=(Bar("F1", 35), Bar("exact match", 12)),
        above=0,
    ),
    "fairytaleqa": Trial(
        task=Answering(),
        files="fairytaleqa",
        also=("xquad_en.test",),
        pickers=(150,),
        bars=(Bar("F1", 25),),
        above=0,
    ),
    "cmrc2018_read": Trial(
        task=Answering(),
        files="cmrc2018",
        more_train=("drcd.train",),
        shape=replace(ENCODER, width=128, vocab=6000, context=384),
        config=SPAN,
    ),
    "fairytaleqa_read": Trial(
        task=Answering(),
        files="fairytaleqa",
        also=("xquad_en.test",),
        shape=replace(ENCODER, width=128, vocab=6000, context=384),
        config=SPAN,
    ),
    "scitldr": Trial(
        task=Summarisation(),
        files="scitldr",
        pickers=(150, 300),
        bars=(Bar("ROUGE-L", 36),),
        above=0,
    ),
    "csl_title": Trial(
        task=Summarisation(),
        files="csl_title",
        pickers=(150, 300),
        bars=(Bar("ROUGE-L", 36),),
        above=0,
    ),
    "scitldr_written": Trial(
        task=Summarisation(),
        files="scitldr",
        shape=Shape(vocab=4000, context=384),
        config=replace(WRITE, minutes=15, dropout=0.3),
        how=replace(BEAM, tokens=60, batch=64),
    ),
    "csl_title_written": Trial(
        task=Summarisation(),
        files="csl_title",
        shape=Shape(vocab=4000, context=384),
        config=replace(WRITE, minutes=15, dropout=0.3),
        how=replace(BEAM, tokens=40, batch=64),
    ),
    "python_code": Trial(
        task=Generation(),
        files="python_code",
        shape=Shape(kind="decoder", width=128, layers=3, vocab=2048, context=256),
        config=replace(WRITE, minutes=9, dropout=0.0, smoothing=0.0, batch_tokens=2048, **MUON),
        mixture=True,
        how=Decoding(tokens=80, temperature=1.0),
        bars=(Bar("bits per byte", 1.25, lower=True),),
        then=Phase(
            task=Coding(),
            files="python_code",
            config=replace(
                WRITE,
                minutes=9,
                dropout=0.1,
                smoothing=0.0,
                learning_rate=1e-3,
                embedding_factor=1,
                matrix_rate=0.008,
                evaluations=8,
            ),
            exams=(
                ("python_code.test", Decoding(tokens=128), 300),
                ("humaneval.test", Decoding(tokens=128, samples=10, temperature=0.8, top_p=0.95), 0),
                ("mbpp.test", Decoding(tokens=128, samples=10, temperature=0.8, top_p=0.95), 0),
            ),
            bars=(Bar("valid", 0.25),),
        ),
    ),
    "tinyshakespeare": Trial(
        task=Generation(),
        files="tinyshakespeare",
        shape=Shape(kind="decoder", width=128, layers=4, vocab=1024, context=256),
        config=replace(WRITE, minutes=8, dropout=0.1, smoothing=0.0, batch_tokens=2048, **MUON),
        how=Decoding(tokens=100, temperature=1.0),
    ),
    "poems_zh": Trial(
        task=Generation(opening=8, length=40),
        files="poems_zh",
        shape=Shape(kind="decoder", width=128, layers=3, vocab=6000, context=256),
        config=replace(WRITE, minutes=8, dropout=0.1, smoothing=0.0, batch_tokens=2048, **MUON),
        how=Decoding(tokens=60, temperature=1.0),
        limit=400,
    ),
}
