// The page. It asks the student about the typed text and shows the answer, the pieces and the time.
import { chips, element } from "./parts.js";
import { tokenizerOf } from "./text.js";

const KINDS = { tagging: "tagger", text: "vectors" };
const RUNS = 20, WARM_UP = 10, UNREADABLE = 0.2;
const find = id => document.getElementById(id);
const times = [];
let student, turn = 0;

async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

const json = async name => (await fetched(name)).json();

async function timed(text, second) {
  const start = performance.now(), answer = await student.answer(text, second);
  return { ...answer, milliseconds: performance.now() - start };
}

// A slow answer to an earlier text is not shown any more.
async function ask() {
  const mine = ++turn, text = find("text").value, second = find("second").value;
  const nothing = !text.trim() || (student.second && !student.second.list && !second.trim());
  try {
    const answer = nothing ? null : await timed(text, second);
    const { headline = "", nodes = [], note = "" } = answer ? await student.show(answer, text, second) : {};
    if (mine !== turn) return;
    find("headline").textContent = headline;
    find("answer").replaceChildren(...nodes);
    find("note").textContent = nothing ? "Type something: the answer comes as you type." : note;
    showPieces(text, student.second && !student.second.list ? second : "");
    if (answer) showTime(answer.milliseconds);
    find("error").textContent = "";
  } catch (error) {
    fail(error);
  }
}

function showPieces(...texts) {
  const each = texts.map(text => student.pieces(text)), read = each.flatMap(e => e.read);
  const more = each.reduce((sum, e) => sum + e.all, 0) - read.length;
  const unknown = read.filter(piece => piece.unknown).length;
  find("count").textContent = `${read.length}${unknown ? `, ${unknown} of them unknown` : ""}`;
  find("pieces").replaceChildren(...chips(read));
  if (more) find("pieces").append(element("span", { className: "hint", textContent: `and ${more} more, which it does not read` }));
}

function showTime(milliseconds) {
  times.push(milliseconds);
  if (times.length > RUNS) times.shift();
  const sorted = [...times].sort((a, b) => a - b), median = sorted[Math.floor(sorted.length / 2)];
  find("time").textContent = `${median.toFixed(2)} ms a text, tokenizer and model (median of the last ${times.length} runs)`;
}

// A browser compiles code that runs often, so the first runs are slow.
async function warmUp() {
  for (let n = 0; n < WARM_UP; n++) {
    const { milliseconds } = await timed(...student.examples[0]);
    if (n >= WARM_UP / 2) showTime(milliseconds);
  }
}

function fail(error) {
  find("headline").textContent = find("note").textContent = "";
  find("answer").replaceChildren();
  find("error").textContent = `${error.message || error}`.split("\n")[0];
}

function offer(examples) {
  const pieces = ([text]) => student.pieces(text).read;
  const readable = examples.filter(e => pieces(e).filter(piece => piece.unknown).length <= UNREADABLE * pieces(e).length);
  find("examples").append(...readable.map(([text, second]) => element("button", {
    type: "button", textContent: second ? `${text} / ${second}` : text, dir: "auto", title: text,
    onclick() {
      find("text").value = text;
      if (second) find("second").value = second;
      ask();
    },
  })));
  find("examples").hidden = !readable.length;
}

function ready(about, asked, entry) {
  document.title = `${about.task.name}: a student in the browser`;
  find("task").textContent = about.task.name;
  const size = `${asked.model}, ${(entry.bytes / 1e6).toFixed(1)} MB`;
  find("about").textContent = `${student.does} ${size}; it runs in this browser, and nothing you type leaves it.`;
  if (student.label) find("text-label").textContent = student.label;
  if (student.second) {
    find("second-label").textContent = student.second.label;
    find("second").value = student.second.value;
    find("second").rows = student.second.list ? 9 : 3;
    find("second-field").hidden = false;
    if (student.second.list) find("more").prepend(find("second-field"));  // is below the answer on a narrow screen
  }
  offer(student.examples);
  for (const id of ["text", "second"]) {
    find(id).addEventListener("input", ask);
    find(id).disabled = false;
  }
  find("pieces-field").hidden = false;
}

// For check.py: the page asks itself. It types one text and answers all.
async function check({ texts, seconds }) {
  const number = texts.findIndex((text, n) => text.trim() && (!seconds || seconds[n].trim()));
  find("text").value = texts[number];
  find("second").value = seconds ? seconds[number] : texts.filter(text => text !== texts[number]).join("\n");
  await ask();
  const shown = [...find("answer").querySelectorAll(".name")].map(name => name.textContent);
  const marks = [...find("answer").querySelectorAll(".tagged mark")].map(mark => mark.firstChild.textContent);
  const answers = [];
  for (const [n, text] of texts.entries()) {
    const both = seconds ? [text, seconds[n]] : [text];
    const ids = both.flatMap(each => student.pieces(each).read.map(piece => piece.id));
    answers.push({ ...await timed(...both), ids });
  }
  await post({ typed: { number, headline: find("headline").textContent, shown, marks }, answers });
}

const post = body => fetch("answers", { method: "POST", body: JSON.stringify(body) });
const checked = new URLSearchParams(location.search).has("check");

try {
  const [about, asked] = [await json("metadata.json"), await json("asked.json")];
  const entry = about.models[asked.model];
  const vocab = (await (await fetched("vocab.txt")).text()).split(/\r?\n/).slice(0, about.vocab_size);
  const { open } = await import(`./${KINDS[about.task.kind] ?? "classifier"}.js`);
  const room = Math.min(about.tokenizer.max_length, entry.length);
  student = await open({ about, entry, room, tokenizer: tokenizerOf(vocab, about.tokenizer) });
  ready(about, asked, entry);
  if (checked) await check(asked);
  else {
    await warmUp();
    const example = find("examples").querySelector("button");
    if (example && !find("text").value) example.click();
    else await ask();
    find("text").focus();
  }
} catch (error) {
  find("about").textContent = "This student cannot be shown.";
  fail(error);
  if (checked) await post({ error: `${error}` });
}
