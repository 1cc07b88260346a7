/* What changed between two measurements: questions better and worse, and a study as a table. */
(() => {
  const { el, fixed, count } = LIW;

  /* entries: {text, href, title, change, note}; all: how many moved, of which the entries are those that moved most. */
  LIW.parts.moved = (heading, entries, all) =>
    el(
      "div",
      { class: "card" },
      el("h2", {}, heading),
      entries.length
        ? el(
            "ol",
            { class: "asked" },
            entries.map(({ text, href, title, change, note }) =>
              el("li", {}, el("a", { href, title }, text), el("span", { class: "num" }, change), el("small", {}, note)),
            ),
          )
        : el("p", { class: "note" }, "None."),
      all > entries.length ? el("p", { class: "note" }, `The ${entries.length} that moved most, of ${all}.`) : null,
    );

  /* A study as a table, one row a factor. */
  LIW.parts.poolTable = (rows) => {
    const heads = [
      "Factor",
      "Vectors",
      rows[0].metric,
      "95% interval",
      ...Object.keys(rows[0].others),
      "better",
      "worse",
      "MB",
      "ms a question",
      "s to pool",
    ];
    const cells = (r) => [
      count(r.tokens),
      fixed(r.mean, 4),
      `${fixed(r.low, 3)} to ${fixed(r.high, 3)}`,
      ...Object.values(r.others).map((value) => fixed(value, 4)),
      r.n_better,
      r.n_worse,
      fixed(r.bytes / 1e6, 2),
      fixed(r.milliseconds, 2),
      fixed(r.seconds, 2),
    ];
    return LIW.parts.listing(
      heads.map((head, i) => [head, i ? "n" : ""]),
      rows.map((r) => [r.label, ...cells(r).map(String)]),
    );
  };
})();
