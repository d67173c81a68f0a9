// From a tagger's logits to entities. android/Tagging.kt has the same code in Kotlin.

// The windows { first, last, decides } of words with so many pieces each, at most `room` in each. Words: first to last - 1.
export function windows(sizes, room) {
  if (!sizes.length) return [];
  const starts = [0];
  for (const size of sizes) starts.push(starts.at(-1) + size);
  const spans = [];
  for (let begin = 0; ;) {
    let stop = begin + 1;
    while (stop < sizes.length && starts[stop + 1] - starts[begin] <= room) stop++;
    spans.push([begin, stop]);
    if (stop === sizes.length) break;
    const half = starts.findIndex(start => start - starts[begin] >= Math.floor(room / 2));
    begin = Math.min(stop, Math.max(begin + 1, half));  // moves half a window, at least one word
  }
  const far = starts.at(-1) + room;  // the ends of the text are not cuts
  const context = (word, [first, last]) => Math.min(
    first === 0 ? far : starts[word] - starts[first],
    last === sizes.length ? far : starts[last] - starts[word + 1]);
  const owner = sizes.map((_, word) => {
    let best = -1, most = -1;
    spans.forEach((span, n) => {
      if (span[0] <= word && word < span[1] && context(word, span) > most) [best, most] = [n, context(word, span)];
    });
    return best;
  });
  const decides = n => sizes.map((_, word) => word).filter(word => owner[word] === n);
  return spans.map(([first, last], n) => ({ first, last, decides: decides(n) })).filter(w => w.decides.length);
}

const best = scores => scores.indexOf(Math.max(...scores));

// The valid IOB2 tags, one a word, with the highest sum of logits: I follows only B or I of its type.
export function tags(logits) {
  if (!logits.length) return [];
  const goesOn = tag => tag > 0 && tag % 2 === 0;
  let score = Array.from(logits[0], (x, tag) => goesOn(tag) ? -Infinity : x);
  const came = logits.slice(1).map(word => {
    const top = best(score);
    const from = score.map((x, tag) => !goesOn(tag) ? top : x > score[tag - 1] ? tag : tag - 1);
    score = from.map((before, tag) => score[before] + word[tag]);
    return from;
  });
  const found = [best(score)];
  for (const from of came.reverse()) found.unshift(from[found[0]]);
  return found;
}

// An entity's score is the lowest probability of its words' tags. Words are [start, end].
export function entities(words, logits, labels) {
  const found = [];
  tags(logits).forEach((tag, word) => {
    const most = Math.max(...logits[word]), exp = Array.from(logits[word], x => Math.exp(x - most));
    const sure = exp[tag] / exp.reduce((a, b) => a + b), [start, end] = words[word];
    if (tag % 2) found.push({ type: labels[tag].slice(2), start, end, score: sure });
    else if (tag) Object.assign(found.at(-1), { end, score: Math.min(found.at(-1).score, sure) });
  });
  return found;
}
