"""What a small network learns from few people on a CPU: trains on ROOT/train, looks at ROOT/val on the way.

Both are in the folder layout, with no identity in common. `val` is looked at for the curve alone: nothing is chosen by
it, the result is the last epoch. Time in `val` does not count as training time.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch
from rich.console import Console

from training.config import load_config
from training.datasets.registry import read_data_set
from training.distributed import Processes
from training.evaluation import evaluate_model
from training.fit import Run
from training.progress import Progress
from training.run_folder import RunFolder


def main() -> None:
    """Train, write the curve and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="holds train/ and val/ in the folder layout")
    parser.add_argument("--out", type=Path, required=True, help="run folder; curve.json is written there")
    parser.add_argument("--config", default="folder_small")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--every", type=int, default=4, help="epochs between two looks at val")
    parser.add_argument("--threads", type=int, default=2)
    options, _ = parser.parse_known_args()
    torch.set_num_threads(options.threads)
    config = load_config(options.config, tuple(options.changes))
    console = Console()
    folder = RunFolder(options.out, resume=False)
    folder.keep_config(config)
    with Progress(console) as progress:
        data = read_data_set("folder", options.root / "train")
        unseen = read_data_set("folder", options.root / "val")
        began, began_cpu, looking, looking_cpu = time.monotonic(), _cpu_seconds(), 0.0, 0.0
        run = Run(config, data, folder, torch.device("cpu"), Processes(), progress)
        curve: list[dict[str, float]] = []

        def look(epoch: int) -> None:
            nonlocal looking, looking_cpu
            if epoch % options.every and epoch != config.schedule.epochs:
                return
            now, now_cpu = time.monotonic(), _cpu_seconds()
            metrics = evaluate_model(run.model.eval(), unseen, clips="dense", device="cpu").to_dict()
            line = {
                "epoch": epoch,
                "minutes": round((now - began - looking) / 60, 2),
                "cpu_minutes": round((now_cpu - began_cpu - looking_cpu) / 60, 2),
                "mAP": round(metrics["mAP"], 4),
                "rank-1": round(metrics["rank-1"], 4),
            }
            curve.append(line)
            (options.out / "curve.json").write_text(json.dumps(curve, indent=1) + "\n")
            progress.note(json.dumps(line))
            looking, looking_cpu = looking + time.monotonic() - now, looking_cpu + _cpu_seconds() - now_cpu

        run.fit(after_epoch=look)


def _cpu_seconds() -> float:
    """CPU time of this process so far, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
