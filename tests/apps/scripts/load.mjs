/* The scripts of the pages outside of a browser: run in a context of their own, with as much of one as loading needs. */
import { readFileSync, readdirSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

const FOLDER = new URL("../../../apps/components/", import.meta.url);

/* As much of an element as `LIW.el` needs. */
const createElement = (tag) => {
  const node = { tag, className: "", children: [], attributes: {}, heard: {} };
  node.addEventListener = (name, run) => (node.heard[name] = run);
  node.append = (...children) => node.children.push(...children);
  node.setAttribute = (name, value) => (node.attributes[name] = value);
  return node;
};

/* All scripts, the shared one first, as `scripts()` of apps/components/__init__.py joins them; `search` is the address. */
export const load = (search = "", saved = null) => {
  const pushed = [];
  const location = { pathname: "/page", search, origin: "http://127.0.0.1:7860" };
  const window = {};
  const context = createContext({
    window,
    location,
    URLSearchParams,
    document: { getElementById: () => (saved ? { textContent: JSON.stringify(saved) } : null), createElement },
    history: {
      pushState: (_, __, url) => pushed.push(["push", url]),
      replaceState: (_, __, url) => pushed.push(["replace", url]),
    },
  });
  Object.defineProperty(context, "LIW", { get: () => window.LIW });
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  names.sort((one, other) => Number(other === "core.js") - Number(one === "core.js") || one.localeCompare(other));
  for (const name of names) runInContext(readFileSync(new URL(name, FOLDER), "utf8"), context, { filename: name });
  return { LIW: window.LIW, pushed, location };
};

/* The elements of a tag below a node, in their order, and what each begins with. */
export const all = (node, tag) =>
  typeof node === "string" ? [] : [...(node.tag === tag ? [node] : []), ...node.children.flatMap((c) => all(c, tag))];
export const texts = (nodes) => nodes.map((node) => node.children[0]);

/* A value of the context as one of ours: deepEqual compares prototypes too. */
export const plain = (value) => JSON.parse(JSON.stringify(value));
