"""The worker that a launcher starts: `python -m chidu.training JOB.json`.

A job is a JSON object; its files are the whole interface, so that any launcher can start one anywhere:

    {"verb": "train", "config": {...}, "data": FOLDER, "out": FOLDER, "machine": {...}}     writes out/run.json
    {"verb": "speed", "config": {...}, "out": FILE, "machine": {...}, "seconds": 2}         writes out
    {"verb": "coordinates", "configs": [...], "data": FOLDER, "out": FILE, "machine": {...}, "steps": 4}    writes out

It ends with 0 when its last file is written; when it cannot, it writes one line to stderr and ends with the exit
code of `chidu.errors`.
"""

import sys
from pathlib import Path

from chidu.config import TrainConfig
from chidu.data.dataset import Dataset
from chidu.errors import ChiduError, InputError, say_os_error
from chidu.store import read_json, write_json
from chidu.training.coordinates import measure_coordinates
from chidu.training.speed import measure_seconds_per_token
from chidu.training.train import Machine, train


def work(job_file: Path) -> None:
    """Do one job to its end."""
    job = read_json(job_file)
    machine, out = Machine(**job["machine"]), Path(job["out"])
    if job["verb"] == "coordinates":
        configs = [TrainConfig.from_json(config) for config in job["configs"]]
        write_json(out, measure_coordinates(configs, Dataset.open(Path(job["data"])), job["steps"], machine))
        return
    config = TrainConfig.from_json(job["config"])
    if job["verb"] == "speed":
        write_json(out, {"seconds_per_token": measure_seconds_per_token(config, machine, job["seconds"])})
    else:
        train(config, Dataset.open(Path(job["data"])), out, machine)


def main() -> int:
    """Do the job named on the command line and return the exit code."""
    try:
        work(Path(sys.argv[1]))
    except ChiduError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(say_os_error(error), file=sys.stderr)
        return InputError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
