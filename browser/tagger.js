// Shows the entities of a text, as predict finds them.
import { openLiteRT } from "./litert.js";
import { bars, element } from "./parts.js";
import { entities, windows } from "./tagging.js";
import { splitWords } from "./words.js";

// Type → its title and color. Other types have their own colors.
const KNOWN = { PER: ["person", 25], LOC: ["place", 210], ORG: ["organization", 130], MISC: ["other name", 285] };
const EXAMPLES = [
  "Marta Nowak left the Rosewood Institute in Oslo for Siemens in Munich.",
  "On Friday the Danish harbour of Esbjerg beat Real Sociedad 2-1, said coach O'Neill.",
  "O poeta Rui Teixeira nasceu no Porto.",
  "ولد يوسف إبراهيم في دمشق.",
  "鈴木健太は京都市に住んでいる。",
  "दिल्ली विश्वविद्यालय भारत में है।",
];

export async function open({ about, entry, tokenizer, room }) {
  const run = await openLiteRT(["ids"], entry.length);
  const { labels } = about, types = labels.filter((_, n) => n % 2).map(label => label.slice(2));
  const called = type => KNOWN[type]?.[0] ?? "";
  const hues = new Map(types.map((type, n) => [type, KNOWN[type]?.[1] ?? Math.round(60 + n * 137.5) % 360]));

  function wordsOf(text) {
    const chars = Array.from(text), words = splitWords(chars);
    return { words, pieces: words.map(([a, b]) => tokenizer.ofWord(chars.slice(a, b).join("")).slice(0, room)) };
  }

  async function answer(text) {
    const { words, pieces } = wordsOf(text), logits = [];
    for (const { first, last, decides } of windows(pieces.map(p => p.length), room)) {
      const said = await run([pieces.slice(first, last).flat().map(piece => piece.id)]);
      for (const word of decides) {
        const at = pieces.slice(first, word).flat().length * labels.length;
        logits[word] = said.slice(at, at + labels.length);
      }
    }
    return { entities: entities(words, logits, labels) };
  }

  function colored(tag, type, properties, ...children) {
    const made = element(tag, properties, ...children);
    made.style.setProperty("--hue", hues.get(type));
    return made;
  }

  function show({ entities }, text) {
    const chars = Array.from(text), tagged = element("p", { className: "tagged", dir: "auto" });
    let end = 0;
    for (const e of entities) {
      const mark = colored("mark", e.type, { title: `${called(e.type) || e.type}, ${e.score.toFixed(4)}` });
      mark.append(chars.slice(e.start, e.end).join(""), element("small", { textContent: e.type }));
      tagged.append(chars.slice(end, e.start).join(""), mark);
      end = e.end;
    }
    tagged.append(chars.slice(end).join(""));
    const legend = element("ul", { className: "legend" }, ...types.map(type =>
      element("li", {}, colored("mark", type, { textContent: type }), ` ${called(type)}`)));
    const rows = entities.map(({ type, start, end, score }) => (
      { name: chars.slice(start, end).join(""), value: score, shown: `${type} ${score.toFixed(3)}`, hue: hues.get(type) }));
    const none = element("p", { className: "hint", textContent: "No entity is found." });
    return { nodes: [tagged, legend, rows.length ? bars(rows) : none] };
  }

  return {
    does: "Finds names in a text.",
    examples: EXAMPLES.map(text => [text]),
    answer,
    pieces(text) { const read = wordsOf(text).pieces.flat(); return { all: read.length, read }; },
    show,
  };
}
