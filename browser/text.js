// From text to pieces, as in kd_keras' training. android/Tokenizers.kt has the same rules in Kotlin.

const MASK = "[MASK]", UNKNOWN = "[UNK]";
const isSpace = c => /[\t\n\r\p{Z}]/u.test(c);
const isDropped = c => /[\p{Cc}\p{Cf}\p{Co}\ufffd]/u.test(c);
const isPunctuation = c => /[\p{P}$+<=>^`|~]/u.test(c);
// The ranges of the tokenizers library, which leaves out U+2B820 to U+2B91F.
const CHINESE = /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;

// Changes a text as BERT does before splitting it.
function plain(text, { lowercase, stripAccents, chineseChars }) {
  let clean = "";
  for (const c of text) {
    if (isSpace(c)) clean += " ";
    else if (chineseChars && CHINESE.test(c)) clean += ` ${c} `;
    else if (!isDropped(c)) clean += c;
  }
  if (stripAccents) clean = clean.normalize("NFD").replace(/\p{Mn}/gu, "");
  if (lowercase) clean = Array.from(clean, c => c.toLowerCase()).join("");  // each alone, so a final Σ becomes σ
  return clean;
}

// What training did to text, but MediaPipe does not; see docs/mediapipe.md.
export function forMediaPipe(text, { kind, lowercase }) {
  if (kind === "words") return lowercase ? text.toLowerCase() : text;
  return plain(text, { lowercase: true, stripAccents: true, chineseChars: false });
}

// Words, and each punctuation mark alone.
function split(clean) {
  const words = [];
  let word = "";
  const end = () => { if (word) words.push(word); word = ""; };
  for (const c of clean) {
    const point = isPunctuation(c);
    if (point || isSpace(c)) end();
    if (point) words.push(c);
    else if (!isSpace(c)) word += c;
  }
  end();
  return words;
}

// The pieces of a long text that are kept: the head, the tail, or a quarter of the head and the rest of the tail.
export function cut(pieces, room, truncation = "head") {
  if (pieces.length <= room) return pieces;
  const first = { head: room, tail: 0, head_tail: Math.ceil(room / 4) }[truncation];
  return [...pieces.slice(0, first), ...pieces.slice(pieces.length - room + first)];
}

// settings: "tokenizer" of metadata.json. A piece is { id, text, unknown }. An unknown piece has the word's text.
export function tokenizerOf(vocab, settings) {
  const index = new Map(vocab.map((piece, id) => [piece, id]));
  const known = piece => ({ id: index.get(piece), text: piece, unknown: false });
  const unknown = text => ({ id: index.get(UNKNOWN), text, unknown: true });
  const { lowercase } = settings;
  const rules = { lowercase, stripAccents: settings.strip_accents ?? lowercase, chineseChars: settings.tokenize_chinese_chars ?? true };

  function longest(word) {
    const chars = Array.from(word), found = [];
    for (let start = 0, end; start < chars.length; start = end) {  // the longest piece that fits
      const piece = stop => (start ? "##" : "") + chars.slice(start, stop).join("");
      for (end = chars.length; end > start && !index.has(piece(end));) end--;
      if (end === start || chars.length > 100) return [unknown(word)];
      found.push(known(piece(end)));
    }
    return found;
  }

  function pieces(part) {
    if (settings.kind === "wordpiece") return split(plain(part, rules)).flatMap(longest);
    const words = (lowercase ? part.toLowerCase() : part).split(/[^\p{L}\p{N}_']+/u);
    return words.filter(w => w).map(w => index.has(w) ? known(w) : unknown(w));
  }

  // [MASK] is the only special token that text can contain, and only in capitals.
  const ofText = text => !index.has(MASK) ? pieces(text)
    : text.split(MASK).flatMap((part, n) => n ? [known(MASK), ...pieces(part)] : pieces(part));
  // A tagger's word has at least one piece: a word with only control characters is unknown.
  const ofWord = word => { const found = ofText(word); return found.length ? found : [unknown(word)]; };
  return { ofText, ofWord };
}
