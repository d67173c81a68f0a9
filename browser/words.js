// The places of words in a text. kd_keras/text/words.py has the same rules in Python.

// Scripts without spaces between words. Each of their characters is a word.
const ALONE = /[\u0e00-\u0eff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\u{1b000}-\u{1b16f}\u{20000}-\u{3ffff}]/u;
const ELIDED = /^(?:[cdjlmnst]|qu|un|(?:d|n|s|qu|a|co)?e?a?ll|quest)$/iu;
const ENCLITIC = /^['\u2019](?:s|t|d|m|ll|re|ve)(?![\p{L}\p{N}_])/iu;
const is = { digit: /^\p{Nd}/u, letter: /^[\p{L}\p{Nl}\p{No}]/u, alpha: /^\p{L}/u, upper: /^\p{Uppercase}/u };

// What a character does: "mark" joins what it follows, "word" joins words, "alone" and "point" join nothing.
function kindOf(c) {
  if (/[\s\x1c-\x1f\x85\u200b\ufeff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(c)) return "space";
  if (/[\p{M}\p{Cf}\u{1f3fb}-\u{1f3ff}]/u.test(c)) return "mark";
  if (/[\p{L}\p{N}_]/u.test(c)) return ALONE.test(c) ? "alone" : "word";
  return "point";
}

// chars: the code points of a text. Returns [start, end] of each word, in order.
export function splitWords(chars) {
  const found = [];
  let start = -1, kind = "";  // the open word: its beginning (-1 if none is open), and the kind of its characters
  const close = end => { if (start >= 0) found.push([start, end]); start = -1; };
  for (let at = 0; at < chars.length; at++) {
    const now = kindOf(chars[at]);
    let size = 0;
    if (now === "space") close(at);
    else if (start < 0) [start, kind] = [at, now];
    else if (kind === "mark" && (now === "word" || now === "alone")) kind = now;  // the mark had nothing before it
    else if (now === "mark" || goesOn(chars, start, at, kind, now)) continue;
    else if (now === "point" && kind === "word" && (size = inner(chars, start, at))) {
      if (size < 0) close(at + 1);  // an elided word ends with its apostrophe
      else if (size > 1) {  // 's and similar endings
        close(at);
        [start, kind] = [at, "word"];
        at += size - 1;
      }
    } else {
      close(at);
      [start, kind] = [at, now];
    }
  }
  close(chars.length);
  return found;
}

// Whether a character other than a mark belongs to the open word, by the kinds of both.
function goesOn(chars, start, at, kind, now) {
  if (now !== "point") return now === "word" && kind === "word";
  const flag = /^[\u{1f1e6}-\u{1f1ff}]{2}$/u.test(chars[at - 1] + chars[at]);
  return kind === "point" && (chars[at - 1] === "\u200d" || (flag && at - start === 1));
}

// What punctuation is for the open word: 1 part of it, -1 its end, over 1 a word of that size, 0 none of these.
function inner(chars, start, at) {
  const c = chars[at], before = chars[at - 1], [after = "", next = ""] = chars.slice(at + 1, at + 3);
  const more = after && kindOf(after) === "word" ? 1 : 0;
  if (c === "'" || c === "\u2019") {
    const enclitic = ENCLITIC.exec(chars.slice(at, at + 4).join(""));
    if (enclitic) return enclitic[0].length;
    return more && ELIDED.test(chars.slice(start, at).join("")) ? -1 : more;
  }
  if ("-\u2010\u2011&".includes(c)) return more;
  if (".,:".includes(c) && is.digit.test(before) && is.digit.test(after)) return 1;
  if (c !== "." || !is.letter.test(before)) return 0;
  if (at - start > 1)  // U.S: its points so far were read as those of initials
    return Number(chars[at - 2] === "." && chars[start + 1] === "." && is.letter.test(chars[start]));
  const point = next === "." && is.alpha.test(after);
  const initial = is.upper.test(before) && after === " " && is.upper.test(next);
  return Number(point || initial);
}
