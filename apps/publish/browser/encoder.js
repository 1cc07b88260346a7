/* The model in the browser: words in, vectors out. */
import { bytesOf, weightsOf } from "./codec.js";
import { tokenizer } from "./tokenizer.js";

/**
 * @param {string} base Where the site lies.
 * @param {any} about `model` of the site's manifest.
 * @param {any} words See `tokenizer`.
 */
export const openEncoder = async (base, about, words, told) => {
  const read = (name) => bytesOf(base + name, told);
  const [ort, library, graph, packed] = await Promise.all([
    import(`${base}vendor/ort.js`),
    read("vendor/ort.wasm.gz"),
    read("model/graph.onnx.gz"),
    read("model/weights.bin.gz"),
  ]);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: library.buffer });
  const data = weightsOf(packed, about.tensors, about.total);
  const session = await ort.InferenceSession.create(graph, {
    executionProviders: ["wasm"],
    externalData: [{ path: about.external, data }],
  });
  const cut = tokenizer(words);
  const OUTPUTS = { query: ["token_embeddings", "vector_mask"], document: ["document_embeddings", "document_mask"] };

  const run = async (text, task) => {
    const input = cut.encode(text, about.tasks[task]);
    const shape = [1, input.ids.length];
    const whole = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
    const feed = { input_ids: whole(input.ids), attention_mask: whole(input.attended) };
    if (about.expands) feed.query_expansion_positions = whole(input.expanded);
    const [vectors, mask] = OUTPUTS[task];
    const found = await session.run(feed, [vectors, mask]);
    const flat = found[vectors].data,
      kept = Array.from(found[mask].data, Number),
      dim = about.dim;
    const added = about.added.map((name) => ({ text: name, start: -1, end: -1, kind: "whole" }));
    const places = [...input.tokens, ...added].map((token) => ({ ...token, parts: [] }));
    const rows = [...kept.keys()].filter((i) => kept[i]);
    if (!rows.length) throw new Error("Nothing of this text is left to score: use other words.");
    return {
      vectors: rows.map((i) => Array.from(flat.subarray(i * dim, (i + 1) * dim))),
      tokens: rows.map((i) => places[i]),
      ids: input.ids,
      cut: input.cut,
    };
  };
  /** {vectors, tokens, ids, cut} of a text; task is "query" or "document". One after the other: a session runs once at a time. */
  let turn = /** @type {Promise<any>} */ (Promise.resolve());
  const encode = (text, task) => {
    const found = turn.then(() => run(text, task));
    turn = found.catch(() => {});
    return found;
  };
  return { encode };
};
