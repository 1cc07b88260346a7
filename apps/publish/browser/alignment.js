/* What the search page draws of a pair and of a ranked list, computed in the browser as apps/records.py does. */

const SNIPPET = 190, // characters
  LETTER = /^[\p{L}\p{N}]/u,
  OF_A_LETTER = /[\p{L}\p{N}][\p{M}\u200c\u200d]*$/u;
/* Scripts that write without spaces, as engine/letters.py has them: a letter is as good as a word. */
const SPACELESS =
  /^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\uff66-\uff9f\u{1b000}-\u{1b16f}\u{20000}-\u{3ffff}]/u;
const UNSEEN = new RegExp(
  "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]|\\p{Cs}",
  "gu",
);

/** Characters that steer the display, written as their code point. */
export const visible = (text) =>
  text.replace(UNSEEN, (found) => `[U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);

const round = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
const withinWord = (text, place) => {
  const right = text.slice(place, place + 2);
  if (!LETTER.test(right) || SPACELESS.test(right)) return false;
  const left = OF_A_LETTER.exec(text.slice(Math.max(place - 32, 0), place));
  return left !== null && !SPACELESS.test(left[0]);
};
const parts = (token) => (token.parts.length ? token.parts : [token]);

const joined = (text, before, token) => {
  if (before.start === before.end) return token.start === before.end;
  if (before.start <= token.start && token.start < before.end) return true;
  if (token.end <= before.start) return false;
  if (token.start < before.end) return true;
  if (token.start > before.end) return false;
  return withinWord(text, token.start);
};

/** Positions of the tokens of each word. */
export const wordGroups = (text, tokens) => {
  const groups = [];
  tokens.forEach((token, position) => {
    const before = tokens[position - 1];
    if (before && before.kind === "text" && token.kind === "text" && joined(text, before, token))
      groups.at(-1).push(position);
    else groups.push([position]);
  });
  return groups;
};

const groupText = (text, tokens, group) => {
  const [first, end] = [tokens[group[0]], tokens[group.at(-1)]];
  return visible(first.start >= 0 ? text.slice(first.start, end.end) : first.text);
};

const placed = (tokens, groups) => {
  const found = [];
  groups.forEach((group, number) => {
    const first = tokens[group[0]];
    const spans = first.parts.length
      ? first.parts.map((part) => [part.start, part.end])
      : [[first.start, tokens[group.at(-1)].end]];
    for (const [start, end] of spans) if (start >= 0) found.push([start, end, number]);
  });
  return tokens.some((token) => token.parts.length) ? found.sort((one, two) => one[0] - two[0]) : found;
};

/** The text cut where its tokens begin and end. */
export const segments = (text, tokens, groups) => {
  const pieces = [];
  let cursor = 0;
  for (const [begin, end, number] of placed(tokens, groups)) {
    if (begin < cursor && pieces.length) pieces.at(-1).units.push(number);
    const start = Math.max(begin, cursor);
    if (start > cursor) {
      pieces.push({ text: visible(text.slice(cursor, start)), units: [] });
      cursor = start;
    }
    if (end > start) {
      pieces.push({ text: visible(text.slice(start, end)), units: [number] });
      cursor = end;
    }
  }
  if (cursor < text.length) pieces.push({ text: visible(text.slice(cursor)), units: [] });
  return pieces;
};

const units = (text, tokens, groups, whole) =>
  groups.map((group) => ({
    text: whole ? groupText(text, tokens, group) : visible(tokens[group[0]].text),
    kind: tokens[group[0]].kind,
  }));

const level = (question, text, pair, whole) => {
  const { queryTokens, documentTokens, similarity, best, contribution } = pair;
  const rows = whole ? wordGroups(question, queryTokens) : queryTokens.map((_, i) => [i]);
  const columns = whole ? wordGroups(text, documentTokens) : documentTokens.map((_, i) => [i]);
  const owner = [];
  columns.forEach((group, number) => group.forEach((position) => (owner[position] = number)));
  const cell = (row, column) => Math.max(...column.map((position) => similarity[row][position]));
  return {
    query: units(question, queryTokens, rows, whole),
    document: units(text, documentTokens, columns, whole),
    segments: segments(text, documentTokens, columns),
    similarity: rows.map((group) =>
      columns.map((column) => round(group.reduce((sum, row) => sum + cell(row, column), 0) / group.length, 4)),
    ),
    best: rows.map((group) => [...new Set(group.map((row) => owner[best[row]]))].sort((one, two) => one - two)),
    contribution: rows.map((group) => round(group.reduce((sum, row) => sum + contribution[row], 0), 6)), // prettier-ignore
  };
};

/** Which token matched which: `query` and `document` are arrays of vectors. */
export const align = (query, document, queryTokens, documentTokens) => {
  const similarity = query.map((one) =>
    document.map((two) => {
      let sum = 0;
      for (let i = 0; i < one.length; i++) sum += one[i] * two[i];
      return sum;
    }),
  );
  const best = similarity.map((row) => row.reduce((at, value, i) => (value > row[at] ? i : at), 0));
  const contribution = similarity.map((row, i) => row[best[i]]);
  const score = contribution.reduce((sum, value) => sum + value, 0);
  return { queryTokens, documentTokens, similarity, best, contribution, score };
};

/** Everything that explains one pair. */
export const explanation = (question, id, title, text, pair) => ({
  question: visible(question),
  id,
  title: visible(title),
  score: round(pair.score, 6),
  passages: null, // a site shows a document in full
  read: pair.documentTokens.reduce((most, token) => Math.max(most, ...parts(token).map((part) => part.end)), 0),
  length: text.length,
  text: visible(text),
  pieces: level(question, text, pair, false),
  words: level(question, text, pair, true),
  place: null,
});

/** What each document token holds of the score. */
const held = (pair) => {
  const weight = pair.documentTokens.map(() => 0);
  pair.best.forEach((position, row) => (weight[position] += pair.contribution[row]));
  return weight;
};

const single = (pair) =>
  held(pair)
    .flatMap((weight, i) => parts(pair.documentTokens[i]).map((token) => ({ ...token, weight })))
    .filter((token) => token.start >= 0)
    .sort((one, two) => one.start - two.start || one.end - two.end);

/** The stretch of a document that its score comes from. */
export const snippet = (text, pair) => {
  const tokens = single(pair);
  if (!tokens.length) return [{ text: visible(text.slice(0, SNIPPET)), weight: 0 }];
  let best = -1,
    start = tokens[0].start,
    stop = 0,
    total = 0;
  for (const token of tokens) {
    while (stop < tokens.length && tokens[stop].end <= token.start + SNIPPET) total += tokens[stop++].weight;
    if (total > best + 1e-6 && (token.start === 0 || /\s/.test(text[token.start - 1]))) {
      best = total;
      start = token.start;
    }
    total -= token.weight;
  }
  if (start < SNIPPET / 3) start = 0;
  const end = Math.min(start + SNIPPET, text.length);
  const inside = tokens.filter((token) => token.start >= start && token.end <= end);
  const shifted = inside.map((token) => ({ ...token, start: token.start - start, end: token.end - start, parts: [] }));
  const cut = segments(text.slice(start, end), shifted, shifted.map((_, i) => [i])).map((piece) => ({
    text: piece.text,
    weight: round(piece.units.reduce((sum, i) => sum + inside[i].weight, 0), 3),
  })); // prettier-ignore
  return [
    ...(start ? [{ text: "… ", weight: 0 }] : []),
    ...cut,
    ...(end < text.length ? [{ text: " …", weight: 0 }] : []),
  ];
};
