// What the three kinds of student show alike.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// rows: { name, value from 0 to 1, shown, best, hue }. With `line`, a mark stands there on each bar.
export function bars(rows, line) {
  const list = element("ul", { className: "bars" });
  for (const { name, value, shown, best, hue } of rows) {
    const fill = element("i");
    fill.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
    if (hue !== undefined) fill.style.setProperty("--hue", hue);
    const bar = element("div", { className: "bar", ariaHidden: true }, fill);
    if (line !== undefined) bar.append(element("b"));
    if (line !== undefined) bar.lastChild.style.left = `${100 * line}%`;
    const label = element("span", { className: "name", dir: "auto", textContent: name });
    const number = element("span", { className: "number", textContent: shown });
    list.append(element("li", { className: best ? "best" : "" }, label, number, bar));
  }
  return list;
}

// Pieces as chips; what goes on with a word stands close to it.
export function chips(pieces) {
  return pieces.map(({ text, unknown }) => {
    const inside = text.startsWith("##") && !unknown;
    const chip = element("span", { dir: "auto", textContent: inside ? text.slice(2) : text });
    chip.className = `chip${inside ? " inside" : ""}${unknown ? " unknown" : ""}`;
    if (unknown) chip.title = "not in the vocabulary: the student reads [UNK]";
    return chip;
  });
}
