/* WordPiece as BERT has it, with the characters that each piece stands for; publishing checks it against Python's. */

const UNSEEN = /^\p{C}$/u,
  SPACE = /^\p{White_Space}$/u,
  MARK = /^\p{Mn}$/u,
  CONTINUED = /^[\p{Mn}\p{Me}]$/u;
const PUNCTUATION = /^(?:[!-/:-@[-`{-~]|\p{P})$/u;
const CJK = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

/**
 * @param {any} config What publishing kept of the model's tokenizer: `vocabulary` (names in the order of their ids),
 *   `added` (tokens that are cut out before anything else), `lower`, `accents` (whether they are stripped), `clean`,
 *   `chinese`, `unknown`, `prefix` ("##"), `longest`, `before` and `after` (ids around a text).
 */
export const tokenizer = (config) => {
  const ids = new Map(config.vocabulary.map((name, id) => [name, id]));
  const escaped = config.added.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const added = escaped.length ? new RegExp(`(${escaped.join("|")})`) : null;

  /* Characters after normalising, each with the place that it came from: [character, start, end]. */
  const normalised = (text, shift) => {
    const out = [];
    let at = shift;
    for (const character of text) {
      const start = at,
        end = (at += character.length),
        code = character.codePointAt(0);
      const plain = character === "\t" || character === "\n" || character === "\r";
      if (config.clean && (code === 0 || code === 0xfffd || (!plain && UNSEEN.test(character)))) continue;
      if (SPACE.test(character)) {
        out.push([" ", start, end]);
        continue;
      }
      const wide = config.chinese && CJK.some(([first, last]) => code >= first && code <= last);
      if (wide) out.push([" ", start, start]);
      const parts = config.accents ? character.normalize("NFD") : character;
      for (const part of parts) {
        if (config.accents && MARK.test(part)) continue;
        for (const small of config.lower ? part.toLowerCase() : part) out.push([small, start, end]);
      }
      if (wide) out.push([" ", end, end]);
    }
    return out;
  };

  const words = (characters) => {
    const found = [];
    let word = [];
    const close = () => {
      if (word.length) found.push(word);
      word = [];
    };
    for (const character of characters) {
      if (SPACE.test(character[0])) close();
      else if (PUNCTUATION.test(character[0])) {
        close();
        found.push([character]);
      } else word.push(character);
    }
    close();
    return found;
  };

  const pieces = (word) => {
    const whole = [{ id: config.unknown, start: word[0][1], end: word.at(-1)[2] }];
    if (word.length > config.longest) return whole;
    const found = [];
    let begin = 0;
    while (begin < word.length) {
      let stop = word.length,
        id;
      for (; stop > begin; stop--) {
        const text = (begin ? config.prefix : "") + word.slice(begin, stop).map(([small]) => small).join(""); // prettier-ignore
        if ((id = ids.get(text)) !== undefined) break;
      }
      if (id === undefined) return whole;
      found.push({ id, start: word[begin][1], end: word[stop - 1][2] });
      begin = stop;
    }
    return found;
  };

  /* Every token of a text: {id, start, end} in characters of JavaScript. */
  const content = (text) => {
    const found = [];
    let at = 0;
    for (const [number, part] of (added ? text.split(added) : [text]).entries()) {
      if (number % 2) found.push({ id: ids.get(part), start: at, end: at + part.length });
      else for (const word of words(normalised(part, at))) found.push(...pieces(word));
      at += part.length;
    }
    return found;
  };

  /* Spans that also cover the combining marks that were taken from behind their last character. */
  const covered = (tokens, text) => {
    const starts = new Set(tokens.map((token) => token.start));
    for (const token of tokens) {
      while (token.end > token.start && token.end < text.length && !starts.has(token.end)) {
        const next = String.fromCodePoint(text.codePointAt(token.end));
        if (!CONTINUED.test(next)) break;
        token.end += next.length;
      }
    }
    return tokens;
  };

  /**
   * The input of the model for a question: {ids, attended, expanded, tokens}, tokens as the pages name them.
   * task: {prompt, length, expansion: {length, id, attend} or null}.
   */
  const encode = (text, task) => {
    const shift = task.prompt.length,
      name = (id) => config.vocabulary[id];
    const room = task.length - config.before.length - config.after.length;
    const inner = content(task.prompt + text).slice(0, Math.max(room, 0));
    const special = (id) => ({ id, text: name(id), start: -1, end: -1, kind: "special" });
    const own = inner.map(({ id, start, end }) =>
      end > shift || (start >= shift && shift === 0)
        ? { id, text: name(id), start: Math.max(start - shift, 0), end: end - shift, kind: "text" }
        : { id, text: name(id), start: -1, end: -1, kind: "prefix" },
    );
    covered(own.filter((token) => token.kind === "text"), text); // prettier-ignore
    const tokens = [...config.before.map(special), ...own, ...config.after.map(special)];
    const attended = tokens.map(() => 1),
      expanded = tokens.map(() => 0);
    while (task.expansion && tokens.length < task.expansion.length) {
      const id = task.expansion.id;
      tokens.push({ id, text: name(id), start: -1, end: -1, kind: "expansion" });
      attended.push(task.expansion.attend ? 1 : 0);
      expanded.push(1);
    }
    return { ids: tokens.map((token) => token.id), attended, expanded, tokens, cut: content(task.prompt + text).length > room }; // prettier-ignore
  };

  return { encode };
};
