"""Makes the rivals of the SST-2 family, from the same texts and the same signals: sst2_family.py sets them beside it.

    python benchmarks/sst2_rivals.py --run=RUN --data_dir=DIR --output_dir=OUT --minilm=TEACHER \
        --fasttext_python=PYTHON --peers_python=PYTHON

RUN is a finished run of train, which has text, signals and a vocabulary. Each rival has a folder in OUT:

    static    a vector for each of the run's pieces, their mean, and a linear layer
    bert-1    the first layer of MiniLM-L6, the mean of its tokens, and a linear layer; bert-2: the first two
    fasttext  fastText on the labeled training rows: 64 numbers, pairs of words, 8 passes; quantized
    minilm    TEACHER, a MiniLM-L6 that finetune made, in ONNX Runtime with int8 weights

static and bert-… learn the teacher's logits by their squared distance (Tang et al. 2019, section 3.2), on every text of
the run. The best of 12 dev scores chooses the weights. A finished rival is found again, and a killed one goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from kd_keras.common import cli, files
from kd_keras.common.progress import progress, say
from kd_keras.runs.finished import FinishedRun
from kd_keras.tasks import Rows
from kd_keras.text.token_ids import TokenIds
from kd_keras.text.tokenizers import Tokenizer, WordPiece

PEER = Path(__file__).with_name("sst2_peer.py")
NAMES = ("static", "bert-1", "bert-2", "fasttext", "minilm")
FASTTEXT, MINILM = "model.ftz", "model.onnx"
_ENCODER, _HEADS, _EVALS = "minilm-l6", 12, 12
_RATE = {"static": 3e-3, "bert": 2e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", required=True, help="run folder of train")
    parser.add_argument("--data_dir", help="where the run's data is now")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--rivals", default=",".join(NAMES), help="some of them, with commas")
    parser.add_argument("--updates", type=int, default=12_000)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--static_width", type=int, default=256)
    parser.add_argument("--minilm", type=Path, help="folder of a fine-tuned MiniLM-L6, as finetune writes it")
    parser.add_argument("--peers_python", help="a Python with onnx and onnxruntime")
    parser.add_argument("--fasttext_python", help="a Python with fasttext-wheel; that of --peers_python if not given")
    args = parser.parse_args()
    args.fasttext_python = args.fasttext_python or args.peers_python
    chosen = args.rivals.split(",")
    if wrong := sorted({*chosen} - {*NAMES}):
        parser.error(f"--rivals={wrong[0]}: expected some of {', '.join(NAMES)}")
    if "fasttext" in chosen and not args.fasttext_python:
        parser.error("--fasttext_python=PYTHON is needed for fasttext; leave it out of --rivals otherwise")
    if "minilm" in chosen and not (args.peers_python and args.minilm):
        parser.error("--peers_python=PYTHON and --minilm=DIR are needed for minilm; leave it out of --rivals otherwise")
    print("python benchmarks/sst2_rivals.py " + " ".join(sys.argv[1:]), flush=True)
    cli.quiet()
    run = FinishedRun.open(args.run, flag="--run")
    data = run.data(args.data_dir)
    if "fasttext" in chosen:
        fasttext(args.output_dir / "fasttext", args.fasttext_python, data.train)
    if "minilm" in chosen:
        minilm(args.output_dir / "minilm", args.peers_python, args.minilm)
    learners = [name for name in chosen if name.startswith(("static", "bert"))]
    if not learners:
        return
    cli.import_tensorflow()
    texts, logits = learned(run, data.train)
    say(f"{len(texts):,} texts with the teacher's logits")
    for name in learners:
        learn(run, name, args, texts, logits, data.dev)


def fasttext(folder: Path, python: str, rows: Rows) -> None:
    out = folder / FASTTEXT
    if out.is_file():
        return
    train = folder / "train.txt"
    lines = zip(rows.text, rows.label.tolist(), strict=True)
    files.write_text(train, "".join(f"__label__{label} {' '.join(text.split())}\n" for text, label in lines))
    with files.atomic_path(out) as temp:
        subprocess.run([python, str(PEER), "fasttext", str(train), str(temp)], check=True)


def minilm(folder: Path, python: str, teacher: Path) -> None:
    from kd_keras.teachers.checkpoints import from_folder

    out = folder / MINILM
    if out.is_file():
        return
    checkpoint = from_folder("minilm", teacher)
    weights = tensors(checkpoint)
    if checkpoint.pooling == "mean":
        weights = {name: value for name, value in weights.items() if "pooler" not in name}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "weights.npz", **weights)
    subprocess.run([python, str(PEER), "onnx", str(folder / "weights.npz"), str(out)], check=True)


def tensors(checkpoint: Any) -> dict[str, np.ndarray]:
    """Name without prefix, as PyTorch's BERT has it → float32, a dense layer's [outputs, inputs]."""
    from safetensors.numpy import load_file

    from kd_keras.teachers.weight_files import canonical

    found = {}
    for name, value in load_file(checkpoint.weights).items():
        plain, transposed = canonical(name)
        if not plain.endswith("position_ids"):
            found[plain.removeprefix("bert.")] = np.asarray(value.T if transposed else value, np.float32)
    return found


def learned(run: FinishedRun, train: Rows) -> tuple[list[str], np.ndarray]:
    """Every text that the run's students learned from, and float32[texts, labels] of the teacher."""
    from kd_keras.augment import transfer

    sets = {"train": train}
    for path in run.layout.transfer_sets():
        sets[path.stem] = transfer.load(path, None, run.task.no_labels(0)).rows
    logits = [run.teacher_logits(name, rows) for name, rows in sets.items()]
    return [text for rows in sets.values() for text in rows.text], np.concatenate(logits)


class Static:
    """The mean of a text's vectors, which begin as MiniLM's own word vectors at that width, and a linear layer."""

    def __init__(self, tokenizer: Tokenizer, width: int, outputs: int):
        from kd_keras.teachers.checkpoints import find_checkpoint
        from kd_keras.text.embeddings import from_teacher

        checkpoint = find_checkpoint(_ENCODER)
        index = {piece: n for n, piece in enumerate(checkpoint.text.pieces)}
        matrix = tensors(checkpoint)["embeddings.word_embeddings.weight"]
        words = from_teacher(matrix, [index[piece] for piece in tokenizer.vocab], width)
        self.tokenizer = tokenizer
        self.first = {"words": words, **_linear(width, outputs)}

    def logits(self, w: dict[str, Any], ids: Any, training: bool) -> Any:
        import tensorflow as tf

        text = tf.cast(tf.not_equal(ids, 0), tf.float32)[:, :, None]
        vectors = looked_up(w, ids) * text
        return tf.reduce_sum(vectors, 1) / tf.maximum(tf.reduce_sum(text, 1), 1.0) @ w["kernel"] + w["bias"]


class Bert:
    """The first layers of MiniLM-L6. [CLS] stands before a text and nothing behind it."""

    def __init__(self, layers: int, outputs: int, max_length: int):
        from kd_keras.teachers.checkpoints import find_checkpoint

        checkpoint = find_checkpoint(_ENCODER)
        self.tokenizer = WordPiece(checkpoint.text.pieces, max_length)
        self._layers, self._cls = layers, self.tokenizer.vocab.index("[CLS]")
        kept = ("embeddings.", *(f"encoder.layer.{n}." for n in range(layers)))
        found = {name: value for name, value in tensors(checkpoint).items() if name.startswith(kept)}
        place = found.pop("embeddings.position_embeddings.weight")[: max_length + 1]
        place = place + found.pop("embeddings.token_type_embeddings.weight")[0]
        words = found.pop("embeddings.word_embeddings.weight")
        dense = {name: value.T if value.ndim == 2 else value for name, value in found.items()}
        self.first = {"words": words, "place": place, **dense, **_linear(words.shape[1], outputs)}

    def logits(self, w: dict[str, Any], ids: Any, training: bool) -> Any:
        import tensorflow as tf

        def norm(x: Any, name: str) -> Any:
            x = x - tf.reduce_mean(x, -1, keepdims=True)
            x = x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-12)
            return x * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

        def dense(x: Any, name: str) -> Any:
            return tf.matmul(x, w[f"{name}.weight"]) + w[f"{name}.bias"]

        def dropped(x: Any) -> Any:
            return tf.nn.dropout(x, 0.1) if training else x

        ids = tf.pad(ids, [[0, 0], [1, 0]], constant_values=self._cls)
        texts, count = tf.shape(ids)[0], tf.shape(ids)[1]
        width = w["kernel"].shape[0]
        text = tf.cast(tf.not_equal(ids, 0), tf.float32)
        x = dropped(norm(looked_up(w, ids) + w["place"][:count], "embeddings"))
        hidden = (1.0 - text)[:, None, None, :] * -1e9

        def heads(x: Any, name: str) -> Any:
            return tf.transpose(tf.reshape(dense(x, name), [texts, count, _HEADS, width // _HEADS]), [0, 2, 1, 3])

        for n in range(self._layers):
            at = f"encoder.layer.{n}"
            query, key, value = (heads(x, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
            alike = tf.matmul(query, key, transpose_b=True) * (width // _HEADS) ** -0.5 + hidden
            told = tf.transpose(tf.matmul(tf.nn.softmax(alike), value), [0, 2, 1, 3])
            told = dense(tf.reshape(told, [texts, count, width]), f"{at}.attention.output.dense")
            x = norm(x + dropped(told), f"{at}.attention.output")
            wide = tf.nn.gelu(dense(x, f"{at}.intermediate.dense"), approximate=True)  # LiteRT has no erf
            x = norm(x + dropped(dense(wide, f"{at}.output.dense")), f"{at}.output")
        mean = tf.reduce_sum(x * text[:, :, None], 1) / tf.reduce_sum(text, 1)[:, None]
        return tf.matmul(mean, w["kernel"]) + w["bias"]


def looked_up(w: dict[str, Any], ids: Any) -> Any:
    """float32[texts, tokens, width]; an exported table is int8 with a scale a row."""
    import tensorflow as tf

    rows = tf.gather(w["words"], ids)
    return tf.cast(rows, tf.float32) * tf.gather(w["scales"], ids) if "scales" in w else rows


def _linear(width: int, outputs: int) -> dict[str, np.ndarray]:
    from kd_keras.common.seeds import rng

    kernel = rng(0, "rival").normal(0, width**-0.5, (width, outputs)).astype(np.float32)
    return {"kernel": kernel, "bias": np.zeros(outputs, np.float32)}


def learn(run: FinishedRun, name: str, args: Any, texts: list[str], logits: np.ndarray, dev: Rows) -> None:
    """Trains and exports a rival where that is not done; its state is kept after each dev score."""
    import tensorflow as tf
    import tf_keras

    from kd_keras.text.batches import training_batches

    folder, outputs = args.output_dir / name, logits.shape[1]
    folder.mkdir(parents=True, exist_ok=True)
    key = files.hash_of(run.student_hash, name, args.updates, args.batch_size, args.static_width, len(texts))
    done, state = folder / "done.json", folder / "state.npz"
    if done.is_file() and files.read_json(done)["key"] == key:
        say(f"{name}: found, dev {100 * files.read_json(done)['dev']:.2f}")
        return
    model = (
        Static(run.tokenizer, args.static_width, outputs)
        if name == "static"
        else Bert(int(name[-1]), outputs, run.task.max_length)
    )
    w = {n: tf.Variable(value) for n, value in model.first.items()}
    rate = tf_keras.optimizers.schedules.PolynomialDecay(_RATE[name.split("-")[0]], args.updates, 0.0)
    optimizer = tf_keras.optimizers.Adam(rate, clipnorm=1.0)
    optimizer.build([*w.values()])
    kept = {"step": 0, "dev": -1.0, "best": {n: v.numpy() for n, v in w.items()}}
    if state.is_file():
        _restored(state, key, kept, w, optimizer)
    ids, labels = model.tokenizer.encode(texts), dev.label
    dev_ids = model.tokenizer.encode(list(dev.text))
    batches = training_batches({"ids": ids}, {"teacher_logits": logits}, args.batch_size, 0, kept["step"])

    @tf.function(reduce_retracing=True)
    def update(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model.logits(w, x, True) - y))
        optimizer.apply_gradients(zip(tape.gradient(loss, [*w.values()]), w.values(), strict=True))
        return loss

    @tf.function(reduce_retracing=True)
    def answer(x: Any) -> Any:
        return model.logits(w, x, False)

    every = max(1, args.updates // _EVALS)
    with progress(args.updates, name, "updates") as bar:
        bar.update(kept["step"])
        for x, y in batches:
            if kept["step"] >= args.updates:
                break
            update(x["ids"], y["teacher_logits"])
            kept["step"] += 1
            bar.update()
            if kept["step"] % every == 0 or kept["step"] == args.updates:
                found = float((_answers(answer, dev_ids).argmax(-1) == labels).mean())
                if found > kept["dev"]:
                    kept |= {"dev": found, "best": {n: v.numpy() for n, v in w.items()}}
                _keep(state, key, kept, w, optimizer)
    say(f"{name}: dev {100 * kept['dev']:.2f} after {kept['step']:,} updates")
    export(run, model, kept["best"], folder)
    files.write_json(done, {"key": key, "dev": kept["dev"], "updates": args.updates, "texts": len(texts)})
    state.unlink()


def _answers(answer: Any, ids: TokenIds) -> np.ndarray:
    rows = np.array_split(np.arange(len(ids)), max(1, len(ids) // 128))
    return np.concatenate([answer(ids.padded(some)).numpy() for some in rows])


def _keep(state: Path, key: str, kept: dict, w: dict, optimizer: Any) -> None:
    parts = {f"now/{n}": v.numpy() for n, v in w.items()} | {f"best/{n}": v for n, v in kept["best"].items()}
    parts |= {f"optimizer/{i}": v.numpy() for i, v in enumerate(optimizer.variables)}
    with files.atomic_path(state) as temp, open(temp, "wb") as file:
        np.savez(file, key=key, step=kept["step"], dev=kept["dev"], **parts)


def _restored(state: Path, key: str, kept: dict, w: dict, optimizer: Any) -> None:
    with np.load(state) as found:
        if str(found["key"]) != key:
            return
        kept |= {"step": int(found["step"]), "dev": float(found["dev"])}
        kept["best"] = {n: found[f"best/{n}"] for n in w}
        for n, variable in w.items():
            variable.assign(found[f"now/{n}"])
        for i, variable in enumerate(optimizer.variables):
            variable.assign(found[f"optimizer/{i}"])
    say(f"goes on from update {kept['step']:,}")


def export(run: FinishedRun, model: Any, weights: dict[str, np.ndarray], folder: Path) -> None:
    """OUT/NAME/loop_dynamic.tflite with what Runner.load_file reads beside it; any number of tokens, int8 weights."""
    import tensorflow as tf

    from kd_keras.common.quiet import silent
    from kd_keras.deploy import bundle
    from kd_keras.formats.format import FORMATS
    from kd_keras.formats.slim import slim

    scales = np.maximum(np.abs(weights["words"]).max(1, keepdims=True), 1e-12).astype(np.float32) / 127
    fixed = {n: tf.constant(v) for n, v in weights.items() if n != "words"}
    fixed |= {"words": tf.constant(np.round(weights["words"] / scales).astype(np.int8)), "scales": tf.constant(scales)}

    def scores(ids: Any) -> dict[str, Any]:
        return {"scores": tf.nn.softmax(model.logits(fixed, ids, False))}

    with silent():
        function = tf.function(scores).get_concrete_function(tf.TensorSpec((1, None), tf.int32, name="ids"))
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content = slim(converter.convert())
    fmt, path = FORMATS["tflite_loop_dynamic"], folder / "loop_dynamic.tflite"
    with files.atomic_path(path) as temp:
        temp.write_bytes(content)
    about = bundle.describe(run.task, model.tokenizer, files.sha256_file(path))
    entry = {"format": fmt.name, "bytes": len(content), "sha256": files.sha256_file(path)}
    bundle.write(folder, run.task, model.tokenizer, about, {path.name: entry})


if __name__ == "__main__":
    main()
