/* The worker of a site: what the pages ask Python for in the explorer, answered here. */
import { align, explanation, snippet } from "./alignment.js";
import { jsonOf } from "./codec.js";
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

/* Functions of the worker of the documents as promises. */
const beside = (told) => {
  const worker = new Worker(new URL("documents.js", import.meta.url), { type: "module" }),
    waiting = new Map();
  let number = 0;
  worker.addEventListener("message", ({ data: { id, answer, error, got } }) => {
    if (id === undefined) {
      told(got);
      return;
    }
    const [resolve, reject] = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  });
  return (name, argument) =>
    new Promise((resolve, reject) => {
      waiting.set(++number, [resolve, reject]);
      worker.postMessage({ id: number, name, argument });
    });
};

const open = async ({ base }) => {
  const manifest = await jsonOf(`${base}site.json`);
  let got = 0;
  const told = (bytes) => postMessage({ got: (got += bytes), total: manifest.fetched });
  const documents = beside(told);
  const words = await jsonOf(`${base}model/tokenizer.json.gz`, told);
  const [encoder, collection] = await Promise.all([
    openEncoder(base, manifest.model, words, told),
    documents("open", { base, about: manifest.documents, vocabulary: words.vocabulary }),
  ]);
  const positions = new Map(collection.ids.map((id, position) => [id, position]));
  site = { encoder, collection, positions, documents, manifest };
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
  site.positions.get(name) ?? refuse(`No document is called '${name}': choose one of the list.`);

/* How the scores of some documents come about. */
const aligned = async (query, positions) => {
  const found = await site.documents("documents", { positions });
  return found.map(({ vectors, tokens }) => align(query.vectors, vectors, query.tokens, tokens));
};

const pairOf = async (question, query, document) => {
  const { ids, titles, texts } = site.collection;
  const [pair] = await aligned(query, [document]);
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
      ranking = await site.documents("search", { query: query.vectors, k: HITS });
    const grades = collection.questions.find((one) => one.text === question)?.grades ?? {};
    const pairs = await aligned(query, ranking.map(([at]) => at)); // prettier-ignore
    const hits = ranking.map(([at, score], i) => {
      const pair = pairs[i];
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
    const at = site.positions.get(document) ?? ranking[0][0];
    return { question, found, pair: await pairOf(question, query, at) };
  },
  explain: async ({ question, document }) => {
    const query = await encoded(short(question, "question"), "query");
    return { pair: await pairOf(question, query, position(document)) };
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
