/* A page of a site: the same components as in the explorer, and a worker in place of Python. */
import { jsonOf } from "./codec.js";

const { LIW } = /** @type {any} */ (window);
const base = new URL("../", import.meta.url).href;
const folder = new URL(base).pathname;
const GONE = "This site holds finished answers only, and this is none of them: choose one of the list.";

const manifest = await jsonOf(`${base}site.json`);
const name = document.body.dataset.page;
if (location.pathname.endsWith("/index.html")) history.replaceState({}, "", folder + location.search);

if (matchMedia("(prefers-color-scheme: dark)").matches) document.body.classList.add("dark");
LIW.root = () => base.replace(/\/$/, "");
LIW.href = (page, state = {}) => {
  const query = new URLSearchParams(state);
  return (page && page !== "search" ? `./${page}.html` : "./") + (query.size ? "?" + query : "");
};
LIW.sources = async () => {
  const [style, script] = await Promise.all(["liw.css", "liw.js"].map((file) => fetch(base + "pages/" + file).then((answer) => answer.text()))); // prettier-ignore
  return { style, script };
};
LIW.plotting = { ...LIW.plotting, packed: `${base}pages/plotly.js.gz` };

/* The worker starts with the first page that needs it; what it has fetched is told in the bar. */
const working = () => {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" }),
    waiting = new Map();
  const told = document.querySelector(".fetching");
  let number = 0;
  worker.addEventListener("message", ({ data }) => {
    if (data.id === undefined) {
      told.textContent = `Reading the model and the documents: ${LIW.bytes(data.got)} of ${LIW.bytes(data.total)}`;
      return;
    }
    waiting.get(data.id)(data.answer);
    waiting.delete(data.id);
  });
  const send = (name, argument) =>
    new Promise((resolve) => {
      waiting.set(++number, resolve);
      worker.postMessage({ id: number, name, argument });
    });
  const ready = send("open", { base }).then((answer) => {
    told.textContent = answer.error ?? "";
    return answer;
  });
  return async (name, argument) => {
    const opened = await ready;
    return opened.error ? opened : send(name, argument);
  };
};

const finished = new Map(
  (manifest.answers[name] ? await jsonOf(base + manifest.answers[name]) : []).map(([key, answer]) => [key, answer]),
);
const call = manifest.model && ["search", "learn"].includes(name) ? working() : null;
const live = ["search", "explain", "rescore", "compare", "vectors"];
const key = (name, argument) => {
  const told = Object.entries(argument).filter(
    ([field, value]) => value !== "" && field !== "on" && field !== "scorer",
  );
  return name + " " + JSON.stringify(Object.fromEntries(told.sort(([one], [two]) => (one < two ? -1 : 1))));
};
const server = new Proxy(
  {},
  {
    get: (_, /** @type {string} */ name) => async (argument) => {
      const { on, scorer, ...rest } = argument;
      const known = finished.get(key(name, rest));
      if (known) return structuredClone(known);
      return call && live.includes(name) ? call(name, rest) : { error: GONE };
    },
  },
);

const bar = document.getElementById("bar"),
  root = document.getElementById("root");
await LIW.start("bar", bar, { value: manifest.pages }, server, () => {}, () => {}); // prettier-ignore
const value = finished.get("value") ?? null;
await LIW.start(name, root, { value }, server, () => {}, () => {}); // prettier-ignore
const questions = finished.get("questions") ?? [];
if (questions.length) {
  const list = questions.map(({ q, doc, text }) => LIW.el("li", {}, LIW.el("a", { href: LIW.href(name, doc ? { q, doc } : { q }) }, text))); // prettier-ignore
  const all = LIW.el("details", { class: "card chosen" }, LIW.el("summary", {}, `The ${questions.length} finished questions of this site`), LIW.el("ul", {}, list)); // prettier-ignore
  root.querySelector(".page").append(all);
}
document.body.dataset.ready = "yes";
if (call) Object.assign(window, { liwSite: { call } }); // for whoever measures a site
