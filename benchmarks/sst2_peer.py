"""What runs in an environment of its own beside sst2_family.py: fastText, and a BERT in ONNX Runtime.

    PYTHON benchmarks/sst2_peer.py fasttext TRAIN.txt OUT.ftz
    PYTHON benchmarks/sst2_peer.py onnx WEIGHTS.npz OUT.onnx
    PYTHON benchmarks/sst2_peer.py serve MODEL THREADS

PYTHON has fasttext-wheel, or onnx and onnxruntime. sst2_rivals.py and sst2_family.py call this. It imports nothing of
kd_keras. "serve" reads a JSON object a line, {"texts": […], "warm_up": N}, and answers {"ms": […], "scores": […]}.
A text is a string for fastText, and ids with [CLS] and [SEP] for ONNX Runtime.
"""

from __future__ import annotations

import json
import sys
import time

_HEADS, _EPSILON = 12, 1e-12


def fasttext(train: str, out: str) -> None:
    import fasttext as package

    model = package.train_supervised(train, dim=64, wordNgrams=2, epoch=8, lr=0.5, thread=2, verbose=0)
    model.quantize(input=train, qnorm=True, retrain=True, cutoff=100_000, verbose=0)
    model.save_model(out)


def onnx(weights: str, out: str) -> None:
    """The graph that ONNX Runtime's own optimizer makes of a BERT, with its fused operators, and int8 weights."""
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper, save
    from onnxruntime.quantization import QuantType, quantize_dynamic

    w = dict(np.load(weights))
    nodes, constants = [], {}

    def constant(name: str, value: np.ndarray) -> str:
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(name: str) -> str:
        return constant(name, w[name].T if name.endswith("weight") and w[name].ndim == 2 else w[name])

    def node(op: str, inputs: list[str], to: str, domain: str = "", **settings) -> str:
        nodes.append(helper.make_node(op, inputs, [to], domain=domain, **settings))
        return to

    def fused(op: str, inputs: list[str], to: str, **settings) -> str:
        return node(op, inputs, to, "com.microsoft", **settings)

    def norm(layer: str) -> list[str]:
        return [weight(f"{layer}.LayerNorm.weight"), weight(f"{layer}.LayerNorm.bias")]

    positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    words = node("Gather", [constant("words", w["embeddings.word_embeddings.weight"]), "input_ids"], "word")
    count = node("Shape", ["input_ids"], "count", start=1, end=2)
    one = [constant("begin", np.array([0])), count]
    place = node("Slice", [constant("positions", positions), *one, constant("axis", np.array([0]))], "place")
    x = node("Add", [words, place], "sum")
    x = node("LayerNormalization", [x, *norm("embeddings")], "first", axis=-1, epsilon=_EPSILON)
    for n in range(sum(name.endswith("intermediate.dense.bias") for name in w)):
        at = f"encoder.layer.{n}"
        parts = [f"{at}.attention.self.{p}" for p in ("query", "key", "value")]
        kernel = constant(f"{at}.qkv", np.concatenate([w[f"{p}.weight"].T for p in parts], 1))
        bias = constant(f"{at}.qkv_bias", np.concatenate([w[f"{p}.bias"] for p in parts]))
        told = fused("Attention", [x, kernel, bias], f"{at}.told", num_heads=_HEADS)
        out_of = f"{at}.attention.output"
        told = node("MatMul", [told, weight(f"{out_of}.dense.weight")], f"{at}.mixed")
        x = fused("SkipLayerNormalization", [told, x, *norm(out_of), weight(f"{out_of}.dense.bias")], f"{at}.seen",
                  epsilon=_EPSILON)  # fmt: skip
        wide = node("MatMul", [x, weight(f"{at}.intermediate.dense.weight")], f"{at}.wide")
        wide = fused("BiasGelu", [wide, weight(f"{at}.intermediate.dense.bias")], f"{at}.gelu")
        back = node("MatMul", [wide, weight(f"{at}.output.dense.weight")], f"{at}.back")
        x = fused("SkipLayerNormalization", [back, x, *norm(f"{at}.output"), weight(f"{at}.output.dense.bias")],
                  f"{at}.end", epsilon=_EPSILON)  # fmt: skip
    if "pooler.dense.weight" in w:
        x = node("Gather", [x, constant("zero", np.array(0))], "cls", axis=1)
        x = node("Gemm", [x, weight("pooler.dense.weight"), weight("pooler.dense.bias")], "dense")
        x = node("Tanh", [x], "pooled")
    else:
        x = node("ReduceMean", [x], "pooled", axes=[1], keepdims=0)
    node("Gemm", [x, weight("classifier.weight"), weight("classifier.bias")], "logits")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", len(w["classifier.bias"])])
    graph = helper.make_graph(nodes, "bert", [ids], [logits], list(constants.values()))
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    checker.check_model(model)
    save(model, f"{out}.float32")
    how = {"DefaultTensorType": TensorProto.FLOAT}  # which the fused operators do not say
    quantize_dynamic(f"{out}.float32", out, weight_type=QuantType.QInt8, extra_options=how)


def serve(model: str, threads: str) -> None:
    answer = _fasttext(model) if model.endswith(".ftz") else _onnx(model, int(threads))
    for line in sys.stdin:
        ask = json.loads(line)
        texts, ms, scores = ask["texts"], [], []
        prepared = [answer[0](text) for text in texts]
        for text in prepared[: ask["warm_up"]]:
            answer[1](text)
        for text in prepared:
            start = time.perf_counter_ns()
            said = answer[1](text)
            ms.append((time.perf_counter_ns() - start) / 1e6)
            scores.append(answer[2](said))
        print(json.dumps({"ms": ms, "scores": scores}), flush=True)


def _fasttext(model: str) -> tuple:
    import fasttext as package

    opened = package.load_model(model)

    def scores(said: list) -> list[float]:
        by_label = {label: p for p, label in said}
        return [by_label.get(f"__label__{n}", 0.0) for n in range(2)]

    # The class's own predict() does not work with NumPy 2.
    return (lambda text: text + "\n"), (lambda text: opened.f.predict(text, 2, 0.0, "strict")), scores


def _onnx(model: str, threads: int) -> tuple:
    import numpy as np
    import onnxruntime

    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads = how.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, how, providers=["CPUExecutionProvider"])
    return (
        lambda ids: {"input_ids": np.array([ids], np.int64)},
        lambda x: session.run(None, x)[0][0],
        lambda said: said.tolist(),
    )


if __name__ == "__main__":
    {"fasttext": fasttext, "onnx": onnx, "serve": serve}[sys.argv[1]](*sys.argv[2:])
