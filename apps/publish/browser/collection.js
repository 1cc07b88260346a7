/* The documents of a site: exact MaxSim over their codes, and the tokens behind their vectors. */
import { bytesOf, jsonOf, unpack } from "./codec.js";
import { kernel } from "./kernel.js";

const MOST_TOKENS = 512, // of a question
  SCALE = 32767,
  ROOM = 2 ** 31 * 0.98; // of a sum of products, rounding of the question left out

const wide = (pairs, low) =>
  Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i] + pairs[2 * i + 1] * 2 ** low);

/**
 * @param {string} base Where the site lies.
 * @param {any} about `documents` of the site's manifest.
 * @param {string[]} vocabulary Names of token ids; empty where no model is published.
 */
export const openCollection = async (base, about, vocabulary, told, plain = false) => {
  const file = (name) => bytesOf(`${base}documents/${name}.bin.gz`, told);
  const read = async (name, rows, columns) => unpack(await file(name), rows, columns, new Int32Array(rows * columns));
  const [texts, lengths, counts, parts, often, usual, packed] = await Promise.all([
    jsonOf(`${base}documents/texts.json.gz`, told),
    read("lengths", about.documents, 2),
    read("counts", about.tokens, 2),
    read("tokens", about.parts, 6),
    read("often", about.often, 2),
    read("usual", about.often, about.dim),
    file("vectors"),
  ]);
  const width = 8 * Math.ceil(about.dim / 8);
  const core = kernel(about.tokens, about.documents, width, Math.ceil(MOST_TOKENS / 4), plain);
  const { codes, offsets } = core;
  unpack(packed, about.tokens, about.dim, codes, width);
  wide(lengths, about.low).forEach((length, i) => (offsets[i + 1] = offsets[i] + length));

  /* Where the parts of each vector begin, and the codes of its first part's word piece back in place. */
  const begins = new Int32Array(about.tokens + 1),
    place = new Map(wide(often, about.low).map((id, i) => [id, i]));
  wide(counts, about.low).forEach((count, i) => (begins[i + 1] = begins[i] + count));
  const idOf = (part) => parts[6 * part] + parts[6 * part + 1] * 2 ** about.low;
  const whole = about.kinds.indexOf("whole");
  for (let token = 0; token < about.tokens; token++) {
    const at = place.get(idOf(begins[token])),
      to = token * width,
      from = at * about.dim,
      steps = parts[6 * begins[token] + 5] === whole ? 1 : about.finer;
    for (let i = 0; i < about.dim; i++) codes[to + i] = steps * (codes[to + i] + (at === undefined ? 0 : usual[from + i])); // prettier-ignore
  }
  const names = [...vocabulary, ...texts.extra];

  /* The tokens of a document, one a vector, as `engine.tokens.Token` has them. */
  const tokens = (document) => {
    const found = [];
    let before = 0;
    for (let token = offsets[document]; token < offsets[document + 1]; token++) {
      const own = [];
      for (let part = begins[token]; part < begins[token + 1]; part++) {
        const start = before + parts[6 * part + 2] + parts[6 * part + 3] * 2 ** about.low,
          end = start + parts[6 * part + 4];
        own.push({ text: names[idOf(part)], start, end, kind: about.kinds[parts[6 * part + 5]], parts: [] });
        before = end;
      }
      const text = own.map((part) => part.text).join(" + ");
      found.push(own.length === 1 ? own[0] : { text, start: -1, end: -1, kind: "merged", parts: own });
    }
    return found;
  };

  const vectors = (document) => {
    const found = [];
    for (let token = offsets[document]; token < offsets[document + 1]; token++)
      found.push(Array.from({ length: about.dim }, (_, i) => codes[token * width + i] * about.step));
    return found;
  };

  /* MaxSim of a question with one document in full precision of its codes. */
  const exact = (query, document) =>
    query.reduce((sum, one) => {
      let best = -Infinity;
      for (let token = offsets[document]; token < offsets[document + 1]; token++) {
        let dot = 0;
        for (let i = 0, at = token * width; i < about.dim; i++) dot += one[i] * codes[at + i];
        if (dot > best) best = dot;
      }
      return sum + best * about.step;
    }, 0);

  /**
   * The first k documents, exactly: a question in whole numbers scores them all, and those that could be among the first
   * are scored again. With q = unit z + e, what rounding left is at most |e| times the longest row of codes (Cauchy and
   * Schwarz), and a maximum over tokens moves by no more than its arguments do. The unit keeps |z| |codes| within int32.
   */
  const search = (query, k) => {
    if (query.length > MOST_TOKENS) throw new Error(`Expected at most ${MOST_TOKENS} tokens, got ${query.length}.`);
    const groups = Math.ceil(query.length / 4),
      rounded = new Int16Array(4 * groups * width);
    let off = 0;
    const units = query.map((one, row) => {
      const unit = Math.max(Math.max(...one.map(Math.abs)) / SCALE, (Math.hypot(...one) * about.longest) / ROOM, 1e-30);
      let left = 0;
      one.forEach((value, i) => {
        const whole = Math.round(value / unit);
        rounded[row * width + i] = whole;
        left += (value - whole * unit) ** 2;
      });
      off += Math.sqrt(left) * about.longest * about.step;
      return unit * about.step;
    });
    const best = core.scan(rounded, groups),
      scores = new Float64Array(about.documents);
    for (let document = 0; document < about.documents; document++) {
      let sum = offsets[document] === offsets[document + 1] ? -Infinity : 0;
      for (let row = 0; row < units.length; row++) sum += units[row] * best[document * 4 * groups + row];
      scores[document] = sum;
    }
    const sorted = scores.slice().sort(),
      least = sorted[Math.max(sorted.length - k, 0)] - 2 * off * (1 + 1e-9);
    const chosen = [];
    scores.forEach((score, document) => {
      if (score >= least && score > -Infinity) chosen.push([document, exact(query, document)]);
    });
    return chosen.sort((one, two) => two[1] - one[1] || one[0] - two[0]).slice(0, k);
  };

  return { ...texts, tokens, vectors, search, simd: core.simd };
};
