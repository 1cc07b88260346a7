import assert from "node:assert/strict";
import { test } from "node:test";
import { load, plain } from "./load.mjs";

const { scores } = load().LIW;

test("what document units hold adds up to the score", () => {
  const contribution = [0.5, 0.25, -0.1];
  const held = plain(scores.held([[0], [1, 3], [3]], contribution, 4));
  assert.deepEqual(
    held.map((value) => Math.round(1000 * value)),
    [500, 125, 0, 25],
  );
  assert.ok(Math.abs(held.reduce((sum, value) => sum + value) - 0.65) < 1e-12);
});

test("step by step the score grows to the sum of the rows shown", () => {
  assert.deepEqual(plain(scores.running([1, 2, 4, 8], [0, 2, 3])), [1, 5, 13]);
  assert.deepEqual(plain(scores.running([1, 2], [])), []);
});

test("the sum is split by the kinds of tokens that are there", () => {
  const query = ["special", "text", "text", "expansion"].map((kind) => ({ text: "x", kind }));
  const kinds = scores.byKind({ query, contribution: [0.5, 1, 2, 0.25] });
  assert.deepEqual(plain([...kinds]), [
    ["special", [0.5, 1]],
    ["text", [3, 2]],
    ["expansion", [0.25, 1]],
  ]);
});

test("differences are sorted, signed, and add up to the difference of the scores", () => {
  const found = plain(scores.differences([1, 0.5, 0.75], [0.5, 0.75, 0.75]));
  assert.deepEqual(found, [
    [0, 0.5],
    [2, 0],
    [1, -0.25],
  ]);
});

test("shades rise with similarity and stay among the hundred", () => {
  const shades = [-1, 0, 0.05, 0.1, 0.5, 0.9, 1, 2].map(scores.shade);
  assert.deepEqual(
    [...shades].sort((a, b) => a - b),
    shades,
  );
  assert.equal(shades[0], 4);
  assert.equal(shades.at(-1), 100);
});

test("arrow keys stay inside of the grid and begin at its corner", () => {
  assert.deepEqual(plain(scores.moved("ArrowRight", 2, 0, 3, 2)), [2, 0]);
  assert.deepEqual(plain(scores.moved("ArrowDown", 1, 0, 3, 2)), [1, 1]);
  assert.deepEqual(plain(scores.moved("ArrowRight", -1, -1, 3, 2)), [0, 0]);
  assert.deepEqual(plain(scores.moved("ArrowUp", 0, 0, 3, 2)), [0, 0]);
  assert.equal(scores.moved("Enter", 0, 0, 3, 2), null);
});
