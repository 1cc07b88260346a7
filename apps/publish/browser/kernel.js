/* The best dot product of every query token within every document, in whole numbers: WebAssembly SIMD, and plain. */

const PAGE = 65536,
  LEAST = -(2 ** 31);
const I32 = 0x7f,
  V128 = 0x7b,
  EMPTY = 0x40;

const leb = (value, bits = 32) => {
  const out = [];
  let left = bits === 32 ? value | 0 : value;
  for (;;) {
    const byte = left & 0x7f;
    left >>= 7;
    if ((left === 0 && !(byte & 0x40)) || (left === -1 && byte & 0x40)) return [...out, byte];
    out.push(byte | 0x80);
  }
};
const uleb = (value) => (value < 128 ? [value] : [(value & 0x7f) | 0x80, ...uleb(value >>> 7)]);
const sized = (content) => [...uleb(content.length), ...content];
const section = (id, content) => [id, ...sized(content)];

/**
 * The bytes of a module with one function,
 * scan(codes, offsets, documents, query, groups, out): for each document and each group of four query tokens the
 * largest dot product over the document's tokens, int32 [documents, 4 groups]. Rows of codes and of queries are int16
 * [width], width a multiple of 8.
 */
export const moduleBytes = (width) => {
  const [CODES, OFFSETS, DOCUMENTS, QUERY, GROUPS, OUT] = [0, 1, 2, 3, 4, 5];
  const [D, G, T, STOP, ROW, Q] = [6, 7, 8, 9, 10, 11];
  const [BEST, CODE, SUMS, U, W] = [12, 13, 14, 18, 19];
  const get = (local) => [0x20, local],
    set = (local) => [0x21, local];
  const constant = (value) => [0x41, ...leb(value)];
  const [add, mul, shl, ge] = [0x6a, 0x6c, 0x74, 0x4e];
  const simd = (...code) => [0xfd, ...code];
  const load = (offset) => simd(0x00, 4, ...uleb(offset));
  const plus = simd(0xae, 0x01),
    dot = simd(0xba, 0x01),
    most = simd(0xb8, 0x01);
  const lanes = (...numbers) => simd(0x0d, ...numbers.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)));
  const word = (local, ahead) => [...get(local), ...constant(2), shl, ...get(OFFSETS), add, 0x28, 2, ...uleb(ahead)];
  const bytes = 2 * width;

  const chunk = (c) => [
    ...get(ROW),
    ...load(16 * c),
    ...set(CODE),
    ...[0, 1, 2, 3].flatMap((k) => [
      ...(c ? get(SUMS + k) : []),
      ...get(CODE),
      ...get(Q),
      ...load(k * bytes + 16 * c),
      ...dot,
      ...(c ? plus : []),
      ...set(SUMS + k),
    ]),
  ];
  const folded = (one, two) => [
    ...get(one), ...get(two), ...lanes(0, 4, 1, 5), ...get(one), ...get(two), ...lanes(2, 6, 3, 7), ...plus,
  ]; // prettier-ignore
  const token = [
    ...Array.from({ length: width / 8 }, (_, c) => chunk(c)).flat(),
    ...folded(SUMS, SUMS + 1), ...set(U), ...folded(SUMS + 2, SUMS + 3), ...set(W),
    ...get(U), ...get(W), ...lanes(0, 1, 4, 5), ...get(U), ...get(W), ...lanes(2, 3, 6, 7), ...plus,
    ...get(BEST), ...most, ...set(BEST),
    ...get(ROW), ...constant(bytes), add, ...set(ROW),
  ]; // prettier-ignore
  /* for (local = from; local < to; local++) body */
  const loop = (local, from, to, body) => [
    ...from, ...set(local), 0x02, EMPTY, 0x03, EMPTY, ...get(local), ...to, ge, 0x0d, 1, ...body,
    ...get(local), ...constant(1), add, ...set(local), 0x0c, 0, 0x0b, 0x0b,
  ]; // prettier-ignore
  const group = [
    ...constant(LEAST), ...simd(0x11), ...set(BEST),
    ...get(QUERY), ...get(G), ...constant(4 * bytes), mul, add, ...set(Q),
    ...get(CODES), ...word(D, 0), ...constant(bytes), mul, add, ...set(ROW),
    ...word(D, 4), ...set(STOP),
    ...loop(T, word(D, 0), get(STOP), token),
    ...get(OUT), ...get(D), ...get(GROUPS), mul, ...get(G), add, ...constant(4), shl, add,
    ...get(BEST), ...simd(0x0b, 4, 0),
  ]; // prettier-ignore
  const body = [
    2, 6, I32, 8, V128,
    ...loop(D, constant(0), get(DOCUMENTS), loop(G, constant(0), get(GROUPS), group)),
    0x0b,
  ]; // prettier-ignore
  const text = (name) => sized([...name].map((letter) => letter.charCodeAt(0)));
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 6, I32, I32, I32, I32, I32, I32, 0]),
    ...section(2, [1, ...text("site"), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("scan"), 0, 0]),
    ...section(10, [1, ...sized(body)]),
  ]); // prettier-ignore
};

/** The same in plain JavaScript, for browsers without SIMD, and to hold the other to. */
export const plainScan = (codes, offsets, width, query, groups, out) => {
  const tokens = 4 * groups;
  for (let d = 0; d + 1 < offsets.length; d++)
    for (let q = 0; q < tokens; q++) {
      let best = LEAST;
      for (let t = offsets[d]; t < offsets[d + 1]; t++) {
        let sum = 0;
        for (let i = 0, a = t * width, b = q * width; i < width; i++) sum += codes[a + i] * query[b + i];
        if (sum > best) best = sum;
      }
      out[d * tokens + q] = best;
    }
};

/**
 * Room for the codes of documents, and the function that scans them.
 * Returns {codes, offsets, scan(query, groups)}: int16 [tokens, width] and int32 [documents + 1] to be filled in; scan
 * takes int16 [4 groups, width] and gives int32 [documents, 4 groups].
 */
export const kernel = (tokens, documents, width, most, plain = false) => {
  const sizes = [2 * tokens * width, 4 * (documents + 1), 8 * most * width, 16 * documents * most];
  const places = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + 16 * Math.ceil(size / 16), 0));
  const total = places[3] + sizes[3];
  const bytes = moduleBytes(width);
  const simd = !plain && typeof WebAssembly === "object" && WebAssembly.validate(bytes);
  const memory = simd ? new WebAssembly.Memory({ initial: Math.ceil(total / PAGE) }) : null;
  const buffer = memory ? memory.buffer : new ArrayBuffer(total);
  const codes = new Int16Array(buffer, places[0], tokens * width),
    offsets = new Int32Array(buffer, places[1], documents + 1),
    room = new Int16Array(buffer, places[2], 4 * most * width);
  const run = memory
    ? new WebAssembly.Instance(new WebAssembly.Module(bytes), { site: { memory } }).exports.scan
    : null;
  return {
    codes,
    offsets,
    simd,
    scan: (query, groups) => {
      const out = new Int32Array(buffer, places[3], 4 * documents * groups);
      room.set(query);
      if (run) /** @type {any} */ (run)(places[0], places[1], documents, places[2], groups, places[3]);
      else plainScan(codes, offsets, width, room, groups, out);
      return out;
    },
  };
};
