/* The same question and document seen by two models, word by word. */
(() => {
  const { el, fixed, signed, added } = LIW;

  const match = (view, row) => LIW.scores.match(view, row);
  const rows = (view) => view.query.map((_, i) => i).filter((i) => !added(view.query[i]));
  const rest = (view) => view.query.reduce((sum, unit, i) => (added(unit) ? sum + view.contribution[i] : sum), 0);
  const bar = (value, most) =>
    el(
      "span",
      { class: "share", "aria-hidden": "true" },
      el("i", { style: { width: (100 * Math.max(value, 0)) / most + "%" } }),
    );

  /* first, second: explanations by words; names: of the models. */
  LIW.parts.twoModels = (first, second, names) => {
    const [one, two] = [first.words, second.words],
      [left, right] = [rows(one), rows(two)];
    const shared = left.map((row, i) => [row, right[i]]).filter(([, b]) => b !== undefined);
    const same = shared.filter(([a, b]) => match(one, a) === match(two, b)).length;
    const most = Math.max(1e-9, ...one.contribution, ...two.contribution);
    const cells = (view, row) => [
      el("td", { class: "mono" }, match(view, row)),
      el("td", { class: "n" }, bar(view.contribution[row], most), signed(view.contribution[row])),
    ];
    const heads = names.flatMap((name) => [
      el("th", { scope: "col" }, `best match, ${name}`),
      el("th", { scope: "col", class: "n" }, "contribution"),
    ]);
    const grid = LIW.parts.matrix(
      two,
      two.query.map((_, i) => i),
      two.document.map((_, i) => i),
      900,
      () => {},
    );
    return [
      el(
        "p",
        {},
        "The two models agree on the best match of ",
        el("b", {}, `${same} of ${shared.length} words`),
        `. ${names[0]} gives ${fixed(first.score, 3)}, ${names[1]} gives ${fixed(second.score, 3)}: scores of ` +
          "two models are not on one scale, so compare what each word matches and its share.",
      ),
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "plain two-models" },
          el("caption", { class: "hidden" }, "Both models, word by word"),
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Word"), heads)),
          el(
            "tbody",
            {},
            shared.map(([a, b]) =>
              el(
                "tr",
                { class: match(one, a) === match(two, b) ? "" : "differs" },
                el("th", { scope: "row", class: "mono" }, one.query[a].text),
                cells(one, a),
                cells(two, b),
              ),
            ),
            el(
              "tr",
              {},
              el("th", { scope: "row" }, "added by the model"),
              el("td", {}),
              el("td", { class: "n" }, signed(rest(one))),
              el("td", {}),
              el("td", { class: "n" }, signed(rest(two))),
            ),
          ),
          el(
            "tfoot",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "row" }, "Sum, the score"),
              el("td", {}),
              el("td", { class: "n" }, fixed(first.score, 3)),
              el("td", {}),
              el("td", { class: "n" }, fixed(second.score, 3)),
            ),
          ),
        ),
      ),
      el("details", {}, el("summary", {}, `The matrix of ${names[1]}`), grid.node),
    ];
  };
})();
