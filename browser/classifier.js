// Classes, several labels a text, or a number, for one text or a pair.
import { bars } from "./parts.js";
import { cut, forMediaPipe } from "./text.js";

const MOST = 10;

export const TEXTS = [
  "We laughed all evening, and so did the people behind us.",
  "The soup was cold and the waiter would not look at us.",
  "It starts slowly, but the last hour is worth the wait.",
  "My parcel has not arrived yet. Whom can I ask?",
];
export const PAIRS = [
  ["A man plays the piano in an empty hall.", "Someone is making music."],
  ["How do I change my password?", "Where can I buy cheap shoes?"],
];

export async function open({ about, entry, tokenizer, room }) {
  const { kind, columns } = about.task, pair = Boolean(columns.text_b);
  const pieces = text => tokenizer.ofText(text);
  const read = text => cut(pieces(text), room, about.tokenizer.truncation);
  const scores = entry.mediapipe === "TextClassifier" ? await byMediaPipe() : await byLiteRT();

  async function byMediaPipe() {
    const { FilesetResolver, TextClassifier } = await import("./mediapipe/text_bundle.mjs");
    const files = await FilesetResolver.forTextTasks("./mediapipe/wasm");
    const classifier = await TextClassifier.createFromOptions(files, { baseOptions: { modelAssetPath: "model.tflite" } });
    return text => {
      const found = classifier.classify(forMediaPipe(text, about.tokenizer)).classifications[0].categories;
      const score = new Map(found.map(c => [c.categoryName, c.score]));
      return about.labels.map(name => score.get(name));
    };
  }

  async function byLiteRT() {
    const { openLiteRT } = await import("./litert.js");
    const names = pair ? ["ids_a", "ids_b"] : ["ids"], run = await openLiteRT(names, entry.length);
    const ids = text => read(text).map(piece => piece.id);
    return async (text, second) => Array.from(await run(pair ? [ids(text), ids(second)] : [ids(text)]));
  }

  function show({ scores }) {
    if (kind === "regression") return { headline: scores[0].toFixed(3), nodes: [] };
    const several = kind === "multilabel", many = scores.length > MOST;
    const top = scores.indexOf(Math.max(...scores));
    let rows = about.labels.map((name, n) => ({ name, value: scores[n], best: several ? scores[n] > 0.5 : n === top }));
    const given = rows.filter(row => row.best).map(row => row.name);
    if (many) rows = rows.sort((a, b) => b.value - a.value).slice(0, MOST);
    for (const row of rows) row.shown = row.value.toFixed(4);
    const note = many ? `the ${MOST} best of ${about.labels.length} labels` : "";
    return { headline: given.join(", ") || "no label is over 0.5", nodes: [bars(rows, several ? 0.5 : undefined)], note };
  }

  const what = { regression: "a number", multilabel: `any of ${about.labels.length} labels` }[kind] ?? `one of ${about.labels.length} labels`;
  return {
    does: `Gives ${pair ? "two texts" : "a text"} ${what}.`,
    second: pair ? { label: "and a second one", value: "" } : null,
    examples: pair ? PAIRS : TEXTS.map(text => [text]),
    answer: async (text, second) => ({ scores: await scores(text, second) }),
    pieces: text => ({ all: pieces(text).length, read: read(text) }),
    show,
  };
}
