// Runs a .tflite file with LiteRT for the web: ids in, numbers out.
import { Tensor, loadAndCompile, loadLiteRt } from "./litert/dist/index.js";

// Returns a function: [ids, …], one for each named input, → Float32Array.
export async function openLiteRT(names, length) {
  await loadLiteRt("./litert/wasm/");
  const model = await loadAndCompile("model.tflite", { accelerator: "wasm" });
  const inputs = model.getInputDetails().map(({ name }) => name.replace("serving_default_", "").split(":")[0]);
  // If MediaPipe could serve the student, its file needs BERT's frame around the ids.
  const bert = inputs.includes("segment_ids");

  function values(name, ids) {
    const row = new Int32Array(length + (bert ? 2 : 0));
    const framed = bert ? [1, ...ids, 1] : ids;
    if (name !== "segment_ids") row.set(name === "mask" ? framed.map(() => 1) : framed);
    return row;
  }

  return async rows => {
    const given = inputs.map(name => {
      const row = values(name, rows[Math.max(0, names.indexOf(name))]);
      return new Tensor(row, [1, row.length]);
    });
    const [answer] = await model.run(given);
    const numbers = answer.toTypedArray().slice();
    for (const tensor of [...given, answer]) tensor.delete();
    return numbers;
  };
}
