// The sentences of a list that are most similar to the text, by the cosine of their vectors.
import { bars, element } from "./parts.js";
import { cut, forMediaPipe } from "./text.js";

const MOST = 20;

const LINES = [
  "the screen of my phone is black",
  "where can I get good coffee around here",
  "the train to the coast leaves at noon",
  "how do I change my password",
  "she won the race in the last second",
  "our dog is afraid of thunder",
  "the soup needs more salt",
  "rents in the city rose again this year",
];
const EXAMPLES = ["the mobile does not turn on", "I cannot log in to my account", "a runner finished first", "the puppy hides when it storms"];

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
}

export async function open({ about, entry, tokenizer, room }) {
  const read = text => cut(tokenizer.ofText(text), room, about.tokenizer.truncation);
  const embed = entry.mediapipe === "TextEmbedder" ? await byMediaPipe() : await byLiteRT();
  const known = new Map();  // line → its vector, which is computed once

  async function byMediaPipe() {
    const { FilesetResolver, TextEmbedder } = await import("./mediapipe/text_bundle.mjs");
    const files = await FilesetResolver.forTextTasks("./mediapipe/wasm");
    const embedder = await TextEmbedder.createFromOptions(files, { baseOptions: { modelAssetPath: "model.tflite" } });
    return text => Array.from(embedder.embed(forMediaPipe(text, about.tokenizer)).embeddings[0].floatEmbedding);
  }

  async function byLiteRT() {
    const { openLiteRT } = await import("./litert.js");
    const run = await openLiteRT(["ids"], entry.length);
    return async text => Array.from(await run([read(text).map(piece => piece.id)]));
  }

  async function show({ vector }, text, list) {
    const lines = [...new Set(list.split("\n").filter(line => line.trim()))];
    if (!lines.length) return { nodes: [element("p", { className: "hint", textContent: "The list of sentences is empty." })] };
    for (const line of lines) if (!known.has(line)) known.set(line, await embed(line));
    const rows = lines.map(name => ({ name, value: cosine(vector, known.get(name)) })).sort((a, b) => b.value - a.value);
    rows.forEach((row, n) => Object.assign(row, { shown: row.value.toFixed(3), best: n === 0 }));
    const note = rows.length > MOST ? `the ${MOST} most similar of ${rows.length} sentences` : "";
    return { nodes: [bars(rows.slice(0, MOST))], note };
  }

  return {
    does: "Finds the sentences that mean nearly the same.",
    label: "Search for",
    second: { label: "in these sentences, one a line", value: LINES.join("\n"), list: true },
    examples: EXAMPLES.map(text => [text]),
    answer: async text => ({ vector: await embed(text) }),
    pieces: text => ({ all: tokenizer.ofText(text).length, read: read(text) }),
    show,
  };
}
