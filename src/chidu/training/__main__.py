"""The worker that a launcher starts: `python -m chidu.training JOB.json`.

A job is a JSON object; its files are the whole interface, so that any launcher can start one anywhere:

    {"verb": "train", "config": {...}, "data": FOLDER, "out": FOLDER, "machine": {...}}     writes out/run.json
        and, of a run that shares its trunk, "shared": {"start": FOLDER, "keep": true} (`chidu.training.trunk`)
    {"verb": "speed", "config": {...}, "out": FILE, "machine": {...}, "seconds": 2}         writes out
    {"verb": "coordinates", "configs": [...], "data": FOLDER, "out": FILE, "machine": {...}, "steps": 4}    writes out

    {"verb": "stack", "configs": [...], "data": FOLDER, "outs": [FOLDER, ...], "done": FILE, "machine": {...}, ...}
        writes each run.json as "train" does, then done

Started by torchrun, several of it do one job together (`chidu.training.sharded`).

It ends with 0 when its last file is written; when it cannot, it writes one line to stderr and ends with the exit
code of `chidu.errors`. `python -m chidu.training -` does one job after another, each named by a line of stdin, a JSON
string, and writes what it has to say beside each, to JOB.stderr: loading torch takes longer than many a run.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.errors import ChiduError, InputError, say_os_error
from chidu.store import read_json, write_json
from chidu.training.coordinates import measure_coordinates
from chidu.training.speed import measure_seconds_per_token
from chidu.training.train import Machine, train
from chidu.training.trunk import Shared


def work(job_file: Path) -> None:
    """Do one job to its end."""
    job = read_json(job_file)
    torch.manual_seed(0)  # whatever the worker did before
    machine, out = Machine(**job["machine"]), Path(job["out"])
    if job["verb"] == "coordinates":
        configs = [TrainConfig.from_json(config) for config in job["configs"]]
        write_json(out, measure_coordinates(configs, Dataset.open(Path(job["data"])), job["steps"], machine))
        return
    if job["verb"] == "stack":
        from chidu.training.stacked import train_stacked  # it loads what others do not need

        configs = [TrainConfig.from_json(config) for config in job["configs"]]
        runs = train_stacked(configs, Dataset.open(Path(job["data"])), [Path(out) for out in job["outs"]], machine)
        write_json(Path(job["done"]), {"runs": [run.run for run in runs]})
        return
    config = TrainConfig.from_json(job["config"])
    if job["verb"] == "speed":
        write_json(out, {"seconds_per_token": measure_seconds_per_token(config, machine, job["seconds"])})
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from chidu.training.sharded import train_sharded

        train_sharded(config, Dataset.open(Path(job["data"])), out, machine)
    else:
        train(config, Dataset.open(Path(job["data"])), out, machine, Shared.from_json(job.get("shared", {})))


def do(job_file: Path) -> int:
    """Do a job and return the exit code."""
    try:
        work(job_file)
    except ChiduError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(say_os_error(error), file=sys.stderr)
        return InputError.exit_code
    return 0


def serve(lines: Iterable[str]) -> int:
    """Do the jobs that lines name, until one fails; return its exit code."""
    for line in lines:
        job_file = Path(json.loads(line))
        with job_file.with_suffix(".stderr").open("ab") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        if code := do(job_file):
            return code
    return 0


def main() -> int:
    """Do the job named on the command line, or those named on stdin, and return the exit code."""
    return serve(sys.stdin) if sys.argv[1] == "-" else do(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
