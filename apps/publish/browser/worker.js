/* The worker of a site: what the pages ask Python for in the explorer, answered here. */
import { align, explanation, snippet } from "./alignment.js";
import { jsonOf } from "./codec.js";
import { openCollection } from "./collection.js";
import { openEncoder } from "./encoder.js";

const HITS = 10,
  LONGEST = { question: 2000, text: 20000 },
  KEPT = 64;
const GRADES = { 1: "helps", 2: "judged right" };
const kept = new Map();
let site = null;

const refuse = (sentence) => {
  throw Object.assign(new Error(sentence), { told: true });
};
const short = (text, what) => {
  if (!text.trim()) refuse(what === "question" ? "Type a question first: a few words are enough." : "The text is empty: type a few words to score."); // prettier-ignore
  if (text.length > LONGEST[what])
    refuse(`Expected at most ${LONGEST[what].toLocaleString("en")} characters, got ${text.length.toLocaleString("en")}: shorten it.`); // prettier-ignore
  return text.toWellFormed ? text.toWellFormed() : text;
};

const open = async ({ base }) => {
  const manifest = await jsonOf(`${base}site.json`);
  let got = 0;
  const told = (bytes) => postMessage({ got: (got += bytes), total: manifest.fetched });
  const model = openEncoder(base, manifest.model, told);
  const vocabulary = model.then((found) => found.vocabulary);
  const [encoder, collection] = await Promise.all([
    model,
    vocabulary.then((names) => openCollection(base, manifest.documents, names, told)),
  ]);
  site = { encoder, collection, manifest };
  return { ready: true };
};

const encoded = async (text, task) => {
  const key = task + " " + text;
  const found = kept.get(key) ?? (await site.encoder.encode(text, task));
  kept.delete(key);
  kept.set(key, found);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return found;
};

const position = (name) =>
  site.collection.positions.get(name) ?? refuse(`No document is called '${name}': choose one of the list.`);

const aligned = (query, document) =>
  align(query.vectors, site.collection.vectors(document), query.tokens, site.collection.tokens(document));

const pairOf = (question, query, document) => {
  const { ids, titles, texts } = site.collection;
  const pair = aligned(query, document);
  if (!pair.documentTokens.length) refuse("The model scores nothing of this document, so there is nothing to explain.");
  return explanation(question, ids[document], titles[document] || ids[document], texts[document], pair);
};

const ask = {
  open,
  search: async ({ question, document }) => {
    short(question, "question");
    const start = performance.now(),
      query = await encoded(question, "query"),
      { collection } = site;
    const middle = performance.now(),
      ranking = collection.search(query.vectors, HITS);
    const grades = collection.questions.find((one) => one.text === question)?.grades ?? {};
    const hits = ranking.map(([at, score], i) => {
      const pair = aligned(query, at);
      return {
        rank: i + 1,
        id: collection.ids[at],
        title: collection.titles[at] || collection.ids[at],
        score,
        part: "",
        grade: GRADES[Math.min(grades[at] ?? 0, 2)] ?? "",
        contribution: pair.contribution,
        snippet: snippet(collection.texts[at], pair),
      };
    });
    const seconds = (performance.now() - start) / 1000;
    const found = {
      hits,
      seconds,
      encoding: (middle - start) / 1000,
      documents: collection.ids.length,
      index: "exact search in your browser",
      scored_on: site.manifest.scored_on,
      caveat: "",
      among: "",
    };
    const at = collection.positions.get(document) ?? ranking[0][0];
    return { question, found, pair: pairOf(question, query, at) };
  },
  explain: async ({ question, document }) => {
    const query = await encoded(short(question, "question"), "query");
    return { pair: pairOf(question, query, position(document)) };
  },
  rescore: async ({ question, document, text }) => {
    const query = await encoded(short(question, "question"), "query");
    const other = await encoded(short(text, "text"), "document");
    const pair = align(query.vectors, other.vectors, query.tokens, other.tokens);
    return { pair: explanation(question, document, document, text, pair) };
  },
  /* Of each text: MaxSim with the question, and the cosine of the means of their vectors. */
  compare: async ({ question, texts }) => {
    const query = await encoded(short(question, "question"), "query"),
      rows = [];
    for (const text of texts) {
      const other = await encoded(short(text, "text"), "document");
      const pair = align(query.vectors, other.vectors, query.tokens, other.tokens);
      rows.push({
        text,
        many: pair.score,
        single: cosine(mean(query.vectors), mean(other.vectors)),
        pair: explanation(question, "", "", text, pair),
      });
    }
    return { rows };
  },
  vectors: async ({ text, task }) => encoded(text, task),
};

const mean = (vectors) => vectors[0].map((_, i) => vectors.reduce((sum, one) => sum + one[i] / Math.hypot(...one), 0));
const cosine = (one, two) =>
  one.reduce((sum, value, i) => sum + value * two[i], 0) / (Math.hypot(...one) * Math.hypot(...two));

addEventListener("message", async ({ data: { id, name, argument } }) => {
  try {
    postMessage({ id, answer: await ask[name](argument) });
  } catch (error) {
    const sentence = error.told ? error.message : `This did not work in this browser (${error.message}).`;
    postMessage({ id, answer: { error: sentence } });
  }
});
