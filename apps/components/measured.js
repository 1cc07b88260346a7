/* What the pages Indexes and Systems share: a frontier, and a table of measured rows of which one is chosen. */
(() => {
  const { el } = LIW;

  /* A value in words; nothing of one that is not there. */
  LIW.given = (value, words) => (value === null || value === undefined ? "" : words(value));

  /* One of several figures of quality against cost, with the menu that chooses it, or null without any.
     key: what names a figure in the address; alt: what a screen reader hears of it. */
  LIW.parts.frontier = ({ figures, key, shown, label, alt, plot, change }) => {
    if (!figures.length) return null;
    const figure = figures.find((one) => key(one) === shown) || figures[0];
    const choice = el(
      "select",
      { "aria-label": label, on: { change: () => change(choice.value) } },
      figures.map((one) => el("option", { value: key(one) }, one.label)),
    );
    choice.value = key(figure);
    plot.show(figure.figure, alt(figure));
    return el(
      "div",
      { class: "card" },
      el("div", { class: "head" }, el("h2", {}, "Up and to the left is better"), choice),
      plot.node,
    );
  };

  /* groups: [name, columns] each, a column [head, row -> text]; names stand above the columns where there are any.
     letter: row -> what stands before its name, where names are code. A row with an `error` has that in place of cells. */
  LIW.parts.measured = ({ label, head, groups, rows, chosen, choose, letter = null }) => {
    const shown = groups.filter(([, columns]) => columns.length),
      all = shown.flatMap(([, columns]) => columns);
    const named = shown.some(([name]) => name),
      heads = all.map(([text]) => el("th", { scope: "col", class: "n" }, text));
    const above = shown.map(([name, columns]) =>
      el("th", { scope: "colgroup", colspan: String(columns.length), class: "n group" }, name),
    );
    const line = (row) =>
      el(
        "tr",
        { class: row.name === chosen ? "on" : "", on: { click: () => choose(row.name) } },
        letter ? el("td", { class: "mono" }, letter(row)) : null,
        el(
          "th",
          { scope: "row" },
          el(
            "button",
            { type: "button", class: letter ? "mono" : "", "aria-pressed": String(row.name === chosen) },
            row.name,
          ),
        ),
        row.error
          ? el("td", { colspan: String(all.length) }, row.error)
          : all.map(([, cell]) => el("td", { class: "n" }, cell(row))),
      );
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
      el(
        "table",
        { class: "plain records" },
        el("caption", { class: "hidden" }, label),
        el(
          "thead",
          {},
          named ? el("tr", {}, el("td", {}), above) : null,
          el("tr", {}, letter ? el("th", { scope: "col" }) : null, el("th", { scope: "col" }, head), heads),
        ),
        el("tbody", {}, rows.map(line)),
      ),
    );
  };

  /* The buttons and the line of a run that fills in rows; `empty` before there was one. Whether it is running. */
  LIW.parts.running = ({ start, stop, said, run, pending, empty }) => {
    const running = run.status === "running" || pending;
    start.disabled = running;
    stop.hidden = !running;
    said.textContent = LIW.stage(pending ? "pending" : run.status, run.step, empty);
    return running;
  };
})();
