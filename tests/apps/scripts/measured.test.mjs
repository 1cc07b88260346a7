import assert from "node:assert/strict";
import { test } from "node:test";
import { all, load, texts } from "./load.mjs";
const rows = [
  { name: "exact", ms: 2, letter: "a" },
  { name: "plaid", ms: null, letter: "b" },
  { name: "hnsw", error: "not installed", letter: "c" },
];
const picked = [];
const drawn = (options) => {
  const { LIW } = load();
  const columns = [["ms", (row) => LIW.given(row.ms, (value) => `${value} ms`)]];
  return LIW.parts.measured({
    label: "Measured",
    head: "Index",
    groups: [
      ["time", columns],
      ["size", []],
    ],
    rows,
    chosen: "plaid",
    choose: (name) => picked.push(name),
    ...options,
  });
};

test("measured rows stand below the names of their columns; what is not there is empty, an error takes all cells", () => {
  const table = drawn({});
  assert.deepEqual(texts(all(table, "th").slice(0, 3)), ["time", "Index", "ms"]);
  assert.deepEqual(texts(all(table, "button")), ["exact", "plaid", "hnsw"]);
  assert.deepEqual(texts(all(table, "td").slice(1)), ["2 ms", "", "not installed"]);
  const pressed = all(table, "button").map((node) => node.attributes["aria-pressed"]);
  assert.deepEqual(pressed, ["false", "true", "false"]);
  const lines = all(table, "tr").slice(2);
  assert.deepEqual(
    lines.map((node) => node.className),
    ["", "on", ""],
  );
  lines[0].heard.click();
  assert.deepEqual(picked, ["exact"]);
});

test("columns without names have one row of heads, and letters stand before names that are code", () => {
  const { LIW } = load();
  const table = drawn({ groups: [["", [["ms", (row) => LIW.given(row.ms, String)]]]], letter: (row) => row.letter });
  assert.equal(all(table, "tr").length, 4);
  assert.deepEqual(texts(all(table, "td")), ["a", "2", "b", "", "c", "not installed"]);
  assert.ok(all(table, "button").every((node) => node.className === "mono"));
});

test("the frontier is the one that was chosen, and the first where that is none", () => {
  const { LIW } = load();
  const figures = ["fast", "small"].map((name) => ({ name, label: `Most ${name}`, figure: {} }));
  const shown = (name) => {
    const told = [];
    const options = { figures, key: (one) => one.name, shown: name, label: "Quality", alt: (one) => one.label };
    const plot = { node: "drawing", show: (_, alt) => told.push(alt) };
    const node = LIW.parts.frontier({ ...options, plot, change: () => {} });
    return [all(node, "select")[0].value, ...told];
  };
  assert.deepEqual(shown("small"), ["small", "Most small"]);
  assert.deepEqual(shown("gone"), ["fast", "Most fast"]);
  assert.equal(LIW.parts.frontier({ figures: [] }), null);
});

test("a run shows how to stop it while it runs", () => {
  const { LIW } = load();
  const shown = (status, pending) => {
    const [start, stop, said] = [{}, {}, {}];
    const run = { status, step: "plaid: search" };
    const running = LIW.parts.running({ start, stop, said, run, pending, empty: "Nothing yet" });
    return [running, start.disabled, stop.hidden, said.textContent];
  };
  assert.deepEqual(shown("empty", false), [false, false, true, "Nothing yet"]);
  assert.deepEqual(shown("running", false), [true, true, false, "plaid: search"]);
  assert.deepEqual(shown("done", true), [true, true, false, "Waiting for the machine"]);
});
