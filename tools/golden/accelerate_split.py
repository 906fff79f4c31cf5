"""What Accelerate's PartialState does with lists, tensors and columns, over real processes (gloo on the CPU).

    python tools/golden/accelerate_split.py tests/data/golden/accelerate.json

Needs torch and accelerate (1.15.0 wrote the file in the tree). What Accelerate fails at is recorded as "error".
"""

import json
import os
import sys

import torch
import torch.multiprocessing as mp
from accelerate import PartialState
from accelerate.utils import gather, gather_object, pad_across_processes, reduce

MOST_ITEMS = 10
PROCESSES = (1, 2, 3, 4)


def plain(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(column) for key, column in value.items()}
    return value


def tried(action):
    try:
        return plain(action())
    except Exception as error:  # noqa: BLE001: the kind of the failure is the result
        return {"error": type(error).__name__}


def split(state, inputs, padding):
    with state.split_between_processes(inputs, apply_padding=padding) as mine:
        return mine


def work(process, processes, port, folder):
    os.environ.update(
        RANK=str(process), WORLD_SIZE=str(processes), LOCAL_RANK=str(process), LOCAL_WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="true",
    )
    state = PartialState(cpu=True)
    results = []

    def record(what, items, padding, value):
        results.append({"what": what, "items": items, "padding": padding, "value": value})

    for items in range(MOST_ITEMS + 1):
        for padding in (False, True):
            letters = [f"item {i}" for i in range(items)]
            record("list", items, padding, tried(lambda: split(state, letters, padding)))
            columns = {"id": list(range(items)), "text": list(letters)}
            record("columns", items, padding, tried(lambda: split(state, columns, padding)))
            if items == 0:
                continue  # fails in the middle of a collective
            rows = torch.arange(2 * items).reshape(items, 2)
            record("tensor", items, padding, tried(lambda: split(state, rows, padding)))
            if padding:
                mine = split(state, list(range(items)), True)
                record("gather", items, True, tried(lambda: gather(torch.tensor(mine))))
        record("gather_object", items, False, tried(lambda: gather_object(split(state, letters, False))))
    own = torch.arange(1 + process, dtype=torch.int64).reshape(1, -1) + 10 * process
    for first in (False, True):
        record(f"pad_across_processes first={first}", 0, False,
               plain(pad_across_processes(own, dim=1, pad_index=-1, pad_first=first)))
    for kind in ("mean", "sum", "max"):
        numbers = torch.tensor([0.1, 2.0 + process, -3.0 * process])
        record(f"reduce {kind}", 0, False, plain(reduce(numbers, reduction=kind)))
    with open(f"{folder}/{process}.json", "w") as file:
        json.dump(results, file)


def main():
    folder = sys.argv[1] + ".parts"
    os.makedirs(folder, exist_ok=True)
    runs = []
    for processes in PROCESSES:
        mp.spawn(work, args=(processes, 29600 + processes, folder), nprocs=processes)
        parts = [json.load(open(f"{folder}/{process}.json")) for process in range(processes)]
        for rows in zip(*parts):
            run = {key: rows[0][key] for key in ("what", "items", "padding")}
            runs.append({"processes": processes, **run, "values": [row["value"] for row in rows]})
    for process in range(max(PROCESSES)):
        os.remove(f"{folder}/{process}.json")
    os.rmdir(folder)
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]\n")


if __name__ == "__main__":
    main()
