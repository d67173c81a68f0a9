// What the pages of all three kinds of student share.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// rows: { name, value from 0 to 1, shown, best, hue }. With `line`, each bar has a mark there.
export function bars(rows, line) {
  const list = element("ul", { className: "bars" });
  for (const { name, value, shown, best, hue } of rows) {
    const fill = element("i");
    fill.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
    if (hue !== undefined) fill.style.setProperty("--hue", hue);
    const bar = element("div", { className: "bar", ariaHidden: true }, fill);
    if (line !== undefined) {
      bar.append(element("b"));
      bar.lastChild.style.insetInlineStart = `${100 * line}%`;
    }
    const label = element("span", { className: "name", textContent: name });
    const number = element("span", { className: "number", dir: "ltr", textContent: shown });
    list.append(element("li", { className: best ? "best" : "", dir: "auto" }, label, number, bar));
  }
  return list;
}

// Pieces as chips. The chips of a word are side by side.
export function chips(pieces) {
  const words = [];
  for (const { text, unknown } of pieces) {
    const inside = !unknown && text.startsWith("##") && text.length > 2 && words.length;
    const piece = element("span", { textContent: inside ? text.slice(2) : text, className: unknown ? "unknown" : "" });
    if (unknown) piece.title = "not in the vocabulary: the student reads [UNK]";
    if (inside) words.at(-1).append(piece);
    else words.push(element("span", { className: "word" }, piece));
  }
  return words;
}
