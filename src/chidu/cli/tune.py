"""`chidu tune`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, Seed, find_machine, open_terminal, show


@app.command
def tune(
    model: str,
    file: Path,
    /,
    *,
    out: Path = Path("tuned"),
    task: str = "",
    source: str = "",
    target: str = "",
    valid: Path | None = None,
    epochs: float = 4.0,
    minutes: float = 0.0,
    rate: float = 0.0,
    lora: int = 0,
    length: int = 0,
    batch_tokens: int = 4096,
    dropout: float = 0.1,
    smoothing: float = 0.0,
    patience: int = 4,
    compiled: bool = False,
    width: int = 256,
    layers: int = 3,
    vocab: int = 5000,
    context: int = 128,
    device: str = "",
    threads: int = 0,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Fine-tune a model on a task file, all of its weights or a low-rank change.

    The loss counts on the answers only. The best weights on the validation split are kept, with the overfitting gap
    beside; killed, the same command goes on. `chidu eval` examines the result.

    Example: `chidu tune lab agnews.train.jsonl.gz --out tuned` or, from nothing,
    `chidu tune encoder_decoder multi30k.train.jsonl.gz --source en --target de --minutes 10`

    Parameters
    ----------
    model
        A lab, a run's folder, a checkpoint or a tuned model; or for a fresh model its kind: decoder, encoder,
        encoder_decoder.
    file
        The training file, one JSON object a line.
    out
        The folder to write.
    task
        generation, translation, answering, summarisation, coding or classification; found out from the file's fields
        by default.
    source
        Of a translation file, the field to translate from.
    target
        Of a translation file, the field to translate to.
    valid
        The validation file; by default the `.valid.` file beside a `.train.` one.
    epochs
        Passes over the file; 0 with --minutes for no bound.
    minutes
        Wall time; 0 for no bound.
    rate
        Peak learning rate; by default 1e-3 for a fresh model, 3e-4 for one to go on with and 1e-3 with --lora.
    lora
        Rank of the low-rank change; 0 tunes all weights.
    length
        Tokens of a row, at most the model's context; by default that, but 512 at most.
    batch_tokens
        Tokens of a batch.
    dropout
        Part of the channels that is left out in training.
    smoothing
        Part of the target's probability that is spread over all answers.
    patience
        Evaluations without a better one before it ends.
    compiled
        Compile the model: half a minute, then faster. For answers that are written.
    width
        Of a fresh model.
    layers
        Of a fresh model; of an encoder-decoder on each side.
    vocab
        Of a fresh model's tokenizer.
    context
        Of a fresh model: most tokens of a row.
    device
        cpu or cuda; found out by default.
    threads
        Threads on the CPU; 0 takes all cores.
    """
    from chidu.tasks.examination import find_task
    from chidu.tasks.fresh import Shape
    from chidu.tasks.tuning_config import TuneConfig
    from chidu.tasks.verbs import tune_model

    found = find_task(task, file, source=source, target=target)
    fresh = not Path(model).exists()
    usual = 1e-3 if lora or fresh else 3e-4
    config = TuneConfig(
        epochs=epochs,
        minutes=minutes,
        learning_rate=rate or usual,
        embedding_factor=10.0 if fresh else 1.0,
        lora=lora,
        length=length,
        batch_tokens=batch_tokens,
        dropout=dropout,
        smoothing=smoothing,
        patience=patience,
        compiled=compiled,
        seed=seed,
    )
    machine = find_machine(device, threads)
    shape = Shape(width=width, layers=layers, vocab=vocab, context=context)
    with open_terminal(json_) as watch:
        result = tune_model(
            model,
            file,
            out,
            watch.share("tuning"),
            task=found,
            valid=valid,
            config=config,
            shape=shape,
            machine=machine,
        )
    show(json_, {**result.to_json(), "out": str(out)}, f"{result}\n{out / 'model'} holds the model")
