import assert from "node:assert/strict";
import { test } from "node:test";
import { all, load, texts } from "./load.mjs";

test("a table names its columns and its rows, and numbers stand in columns of numbers", () => {
  const table = load().LIW.parts.listing(
    [
      ["Token", "mono"],
      ["Kind", ""],
      ["Share", "n"],
    ],
    [
      ["sort", "", "0.5"],
      ["[CLS]", "special", "0.25"],
    ],
  );
  assert.deepEqual(texts(all(table, "th")), ["Token", "Kind", "Share", "sort", "[CLS]"]);
  assert.deepEqual(
    all(table, "th").map((node) => [node.attributes.scope, node.className]),
    [
      ["col", ""],
      ["col", ""],
      ["col", "n"],
      ["row", "mono"],
      ["row", "mono"],
    ],
  );
  assert.deepEqual(texts(all(table, "td")), ["", "0.5", "special", "0.25"]);
  assert.deepEqual(
    all(table, "td").map((node) => node.className),
    ["", "n", "", "n"],
  );
  assert.deepEqual([all(table, "caption").length, all(table, "tfoot").length], [0, 0]);
});

test("its last row spans the others, and its caption is for a screen reader", () => {
  const columns = [
    ["Token", ""],
    ["Match", ""],
    ["Share", "n"],
  ];
  const table = load().LIW.parts.listing(columns, [], { caption: "How it adds up", foot: ["Sum", "1.5"] });
  const [foot] = all(table, "tfoot");
  assert.deepEqual([all(foot, "th")[0].attributes.colspan, ...texts(all(foot, "td"))], ["2", "1.5"]);
  assert.deepEqual([all(table, "caption")[0].className, ...texts(all(table, "caption"))], ["hidden", "How it adds up"]);
});
