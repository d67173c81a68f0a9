"""A peer of benchmarks/labelling_peers.py: PyTorch and ONNX Runtime, in an environment of their own.

labelling_peers.py starts it with that environment's Python, and tells it on standard input which way to label.
It imports nothing of kd_keras.

    python benchmarks/labelling_peer.py FOLDER THREADS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Classifier(torch.nn.Module):
    """What the teacher computes: an encoder, its pooler or the mean of the tokens, one layer."""

    def __init__(self, folder: Path, kernel: np.ndarray, bias: np.ndarray, pooling: str):
        super().__init__()
        self.encoder, self.pooling = AutoModel.from_pretrained(folder), pooling
        self.linear = torch.nn.Linear(*kernel.shape)
        self.linear.weight.data, self.linear.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)

    def forward(self, input_ids, attention_mask, token_type_ids):
        out = self.encoder(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        if self.pooling != "mean":
            return self.linear(out.pooler_output)
        weights = attention_mask[:, :, None].to(out.last_hidden_state.dtype)
        return self.linear((out.last_hidden_state * weights).sum(1) / weights.sum(1))


def exported(model: Classifier, folder: Path) -> dict[str, Path]:
    """ONNX files of ``model``: float32, and with int8 weights."""
    whole, small = folder / "float32.onnx", folder / "int8.onnx"
    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in INPUTS)
    axes = {name: {0: "batch", 1: "time"} for name in INPUTS}
    torch.onnx.export(
        model, example, str(whole), input_names=list(INPUTS), output_names=["logits"], dynamic_axes=axes, dynamo=False
    )
    quantize_dynamic(whole, small, weight_type=QuantType.QInt8)
    return {"onnx float32": whole, "onnx int8": small}


def opened(folder: Path, threads: int) -> dict:
    """Each way → a function from a batch to float32[batch, labels]."""
    torch.set_num_threads(threads)
    head = np.load(folder / "head.npz")
    model = Classifier(folder, head["kernel"], head["bias"], str(head["pooling"])).eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        for name, path in exported(model, folder).items()
    }

    def by_torch(batch):
        with torch.inference_mode():
            return model(*(torch.from_numpy(batch[n]) for n in INPUTS)).numpy()

    def by_torch_bfloat16(batch):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return model(*(torch.from_numpy(batch[n]) for n in INPUTS)).float().numpy()

    def by_onnx(session):
        return lambda batch: session.run(["logits"], batch)[0]

    ways = {"torch float32": by_torch, "torch bfloat16": by_torch_bfloat16, "torch file order": by_torch}
    return ways | {name: by_onnx(session) for name, session in sessions.items()}


def main() -> None:
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    ways = opened(folder, threads)
    orders = {name: np.load(folder / f"{name}.npz") for name in ("sorted", "file")}
    batches = {
        name: [{n: a[f"{n}_{i}"].astype(np.int64) for n in INPUTS} for i in range(len(a.files) // len(INPUTS))]
        for name, a in orders.items()
    }
    about = {"ways": list(ways), "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        some = batches["file" if asked["way"].endswith("order") else "sorted"][:: asked["every"]]
        start = time.perf_counter(), time.process_time()
        said = [ways[asked["way"]](batch) for batch in some]
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        np.save(folder / "said.npy", np.concatenate(said))
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
