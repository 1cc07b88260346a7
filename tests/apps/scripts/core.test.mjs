import assert from "node:assert/strict";
import { test } from "node:test";
import { load, plain } from "./load.mjs";

test("numbers are written as a person reads them", () => {
  const { LIW } = load();
  assert.equal(LIW.fixed(-0.125, 2), "−0.13");
  assert.equal(LIW.fixed(1 / 3), "0.33");
  assert.equal(LIW.signed(0.5, 1), "+0.5");
  assert.equal(LIW.signed(-0.25), "−0.25");
  assert.equal(LIW.count(1234567), "1,234,567");
  assert.deepEqual([0, 1, 1200].map(LIW.questions), ["0 questions", "1 question", "1,200 questions"]);
  assert.deepEqual([0.123, 12.34, 1234.5].map(LIW.milliseconds), ["0.12", "12.3", "1,235"]);
});

test("sizes and times take the unit that fits", () => {
  const { LIW } = load();
  assert.deepEqual([512, 1.5e5, 2.34e6, 1.2e9].map(LIW.bytes), ["1 kB", "150 kB", "2.3 MB", "1.2 GB"]);
  assert.deepEqual([0.04, 9.96, 42, 600, 7200].map(LIW.duration), ["0.0 s", "10.0 s", "42 s", "10 min", "2.0 h"]);
});

test("a whole number of an address is a number, anything else is not", () => {
  const { LIW } = load();
  assert.deepEqual(["7", "-1", "0"].map(LIW.whole), [7, -1, 0]);
  assert.deepEqual(["", undefined, "1.5", "2x", "e3"].map(LIW.whole), [null, null, null, null, null]);
});

test("a run says what it does, and nothing once its rows are there", () => {
  const said = (status) => load().LIW.stage(status, "plaid: search", "Nothing yet");
  assert.deepEqual(["pending", "running", "stopped", "empty", "done", "error"].map(said), [
    "Waiting for the machine",
    "plaid: search",
    "Stopped; what is finished stays.",
    "Nothing yet",
    "",
    "",
  ]);
});

test("the state of a page comes back from its address", () => {
  const { LIW, pushed } = load("?q=a%20%26%20b&doc=old&on=mine");
  assert.deepEqual(plain(LIW.address.read()), { q: "a & b", doc: "old", on: "mine" });
  LIW.address.write({ doc: "größer", q: "", token: null, step: 0 }, true);
  assert.deepEqual(pushed, [["push", "/page?doc=gr%C3%B6%C3%9Fer&on=mine&step=0"]]);
  LIW.address.write({});
  assert.equal(pushed.length, 2);
});

test("what does not change the address is not written", () => {
  const { LIW, pushed } = load("?q=x");
  LIW.address.write({ q: "x", doc: "" });
  assert.deepEqual(pushed, []);
});

test("a saved copy keeps its state in itself", () => {
  const { LIW, pushed } = load("?q=live", { search: "?q=saved", answers: [], theme: "dark" });
  assert.equal(LIW.address.read().q, "saved");
  LIW.address.write({ q: "changed" });
  assert.equal(LIW.address.read().q, "changed");
  assert.deepEqual(pushed, []);
});

test("links to other pages stay on the collection that is open", () => {
  assert.equal(load("?on=key").LIW.href("xray", { q: "a b" }), "./xray?q=a+b&on=key");
  assert.equal(load().LIW.href(""), "./");
});

test("units that the model added are told apart", () => {
  const { LIW } = load();
  assert.deepEqual(
    ["text", "special", "prefix", "expansion"].map((kind) => LIW.added({ text: "x", kind })),
    [false, true, true, true],
  );
});
