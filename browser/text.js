// What training did to text and MediaPipe does not; see BUILD.md, "MediaPipe".
export function plain(text, tokenizer) {
  if (tokenizer.kind === "words") return tokenizer.lowercase ? text.toLowerCase() : text;
  return text.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu, "").normalize("NFD")
    .replace(/\p{Mn}+/gu, "").replace(/\p{Z}/gu, " ").toLowerCase();
}
