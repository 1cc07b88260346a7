import assert from "node:assert/strict";
import { test } from "node:test";
import { load, plain } from "./load.mjs";

const loaded = () => {
  const { LIW } = load();
  LIW.plotting = { path: "/p", dark: { "#0b6e6e": "#4fc3bd", "rgba(11,110,110,": "rgba(79,195,189," } };
  return LIW;
};

test("a figure takes the colours of the dark theme, faded ones too", () => {
  const LIW = loaded();
  const text = '{"color":"#0b6e6e","fill":"rgba(11,110,110,0.12)","other":"#123456","id":"#0b6e6e7"}';
  assert.equal(LIW.coloured(text, false), text);
  assert.deepEqual(JSON.parse(LIW.coloured(text, true)), {
    color: "#4fc3bd",
    fill: "rgba(79,195,189,0.12)",
    other: "#123456",
    id: "#0b6e6e7",
  });
});

test("without its title a figure gives back the title's room", () => {
  const figure = { data: [], layout: { title: { text: "x" }, height: 400, margin: { l: 5, t: 90 }, xaxis: {} } };
  const { layout } = plain(loaded().untitled(figure));
  assert.deepEqual(layout, { height: 340, margin: { l: 5, t: 30 }, xaxis: {} });
  assert.equal(figure.layout.height, 400);
});

test("a column is marked without changing the figure", () => {
  const figure = { data: [], layout: { shapes: [{ type: "line" }] } };
  const { layout } = loaded().withColumn(figure, 3, "red");
  assert.deepEqual(
    plain(layout.shapes).map(({ type, x0, x1, yref }) => [type, x0, x1, yref]),
    [
      ["line", undefined, undefined, undefined],
      ["rect", 2.55, 3.45, "paper"],
    ].map((row) => row.map((value) => value ?? undefined)),
  );
  assert.equal(figure.layout.shapes.length, 1);
});

test("only the mark of the chosen name is outlined", () => {
  const mark = (name) => ({ customdata: [[name, "text"]], marker: { size: 4, line: { color: "grey", width: 2 } } });
  const figure = { data: [{ mode: "lines" }, mark("exact"), mark("plaid")], layout: {} };
  const { data } = plain(loaded().withMark(figure, "plaid", "red"));
  assert.deepEqual(data.slice(0, 2), plain(figure.data.slice(0, 2)));
  assert.deepEqual(data[2].marker, { size: 4, line: { color: ["red"], width: [4] } });
  const several = { data: [{ customdata: [["a"], ["b"]], marker: {} }], layout: {} };
  const { line } = plain(loaded().withMark(several, "b", "red")).data[0].marker;
  assert.deepEqual(line, { color: ["rgba(0,0,0,0)", "red"], width: [0, 4] });
  assert.deepEqual(plain(loaded().withMark(figure, "", "red")), plain(figure));
});
