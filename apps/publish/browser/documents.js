/* A worker of its own for the documents, so that they are unpacked while the model starts. */
import { openCollection } from "./collection.js";

let collection = null;
const ask = {
  open: async ({ base, about, vocabulary }) => {
    collection = await openCollection(base, about, vocabulary, (got) => postMessage({ got }));
    const { ids, titles, texts, questions, simd } = collection;
    return { ids, titles, texts, questions, simd };
  },
  search: ({ query, k }) => collection.search(query, k),
  /* Vectors and tokens of the documents at some positions. */
  documents: ({ positions }) =>
    positions.map((position) => ({ vectors: collection.vectors(position), tokens: collection.tokens(position) })),
};

addEventListener("message", async ({ data: { id, name, argument } }) => {
  try {
    postMessage({ id, answer: await ask[name](argument) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
});
