/* The parts of one explained pair: chips, tinted text, the table, and why another document ranks higher. */
(() => {
  const { el, fixed, signed, added } = LIW;

  const TITLES = {
    text: undefined,
    merged: undefined,
    whole: "stands for the whole text, and meets its counterpart only",
  };

  /** @param {Unit} unit */
  const titleOf = (unit) => (unit.kind in TITLES ? TITLES[unit.kind] : "added by the model, not in your question");

  /* Query units as buttons with their contribution; onPeek(unit or null), onPin(unit). */
  LIW.parts.chips = (view, shown, onPeek, onPin) => {
    const largest = Math.max(...shown.map((unit) => Math.abs(view.contribution[unit])), 1e-9);
    const buttons = new Map();
    const group = el("div", { class: "chips", role: "group", "aria-label": "Query tokens and what each contributes" });
    shown.forEach((unit) => {
      const value = view.contribution[unit];
      const button = el(
        "button",
        {
          class: "chip" + (added(view.query[unit]) ? " added" : ""),
          type: "button",
          "aria-pressed": "false",
          title: titleOf(view.query[unit]),
          on: {
            mouseenter: () => onPeek(unit),
            mouseleave: () => onPeek(null),
            click: () => onPin(unit),
            focus: () => button.matches(":focus-visible") && onPeek(unit),
            blur: () => onPeek(null),
          },
        },
        el("bdi", {}, view.query[unit].text),
        el("em", {}, signed(value)),
        el("u", { style: { width: (100 * Math.max(value, 0)) / largest + "%" } }),
      );
      buttons.set(unit, button);
      group.append(button);
    });
    LIW.roving(group, ".chip");
    return {
      node: group,
      select: (unit, pinned) =>
        buttons.forEach((button, key) => {
          button.setAttribute("aria-pressed", String(key === pinned));
          button.classList.toggle("peek", key === unit);
        }),
    };
  };

  /* The score as a sum, in words. */
  LIW.parts.sum = (view, score) => {
    const kinds = LIW.scores.byKind(view);
    const names = {
      text: "your words",
      merged: "merged tokens",
      special: "special tokens",
      prefix: "the model's prefix",
      expansion: "expansion tokens",
      whole: "the texts as a whole",
    };
    const node = el("p", { class: "sum" });
    /** @type {Unit["kind"][]} */ (Object.keys(names))
      .filter((kind) => kinds.has(kind))
      .forEach((kind, i) =>
        node.append(
          i ? " + " : "",
          el("b", {}, fixed(kinds.get(kind)[0])),
          ` from ${names[kind]} (${kinds.get(kind)[1]})`,
        ),
      );
    node.append(" = ", el("b", {}, fixed(score)), " in all");
    return node;
  };

  /* The document as prose; select(unit) tints it by that query unit, null by how much of the score each part holds. */
  LIW.parts.text = (view, read) => {
    const node = el("p", { class: "text", dir: "auto" });
    const spans = [];
    let seen = 0;
    view.segments.forEach((segment) => {
      const cut = segment.units.length === 0 && read !== null && seen >= read;
      seen += segment.text.length;
      const span =
        segment.units.length || cut ? el("span", { class: cut ? "unread" : "" }, segment.text) : segment.text;
      if (segment.units.length) spans.push([span, segment.units]);
      node.append(span);
    });
    const won = LIW.scores.held(view.best, view.contribution, view.document.length);
    const most = Math.max(...won, 1e-9);
    return {
      node,
      select: (unit) =>
        spans.forEach(([span, units]) => {
          const value = Math.max(
            ...units.map((column) => (unit === null ? won[column] / most : view.similarity[unit][column])),
          );
          const tint = unit === null ? 0.75 * value : Math.max(0, (value - 0.12) * 1.15);
          span.style.background =
            tint > 0.01 ? `rgba(var(--tint),calc(var(--strong) * ${Math.min(1, tint).toFixed(3)}))` : "";
          span.classList.toggle("best", unit !== null && units.some((column) => view.best[unit].includes(column)));
          span.title =
            unit === null
              ? value
                ? "matched " + fixed(value * most) + " of the score"
                : ""
              : "similarity " + fixed(value, 3);
        }),
    };
  };

  /* The same as a table: for a screen reader, and for the exact numbers. */
  LIW.parts.table = (view, score, name) =>
    LIW.parts.listing(
      [
        ["Query token", "mono"],
        ["Added by the model", ""],
        ["Best match in the document", "mono"],
        ["Contribution", "n"],
      ],
      view.query.map((unit, row) => [
        unit.text,
        added(unit) ? unit.kind : "",
        LIW.scores.match(view, row),
        fixed(view.contribution[row], 4),
      ]),
      { caption: `How the score of ${name} adds up`, foot: ["Sum, the score", fixed(score, 4)] },
    );

  /* Two explanations over the same query units: the difference, largest first, adding up, and what each matched. */
  LIW.parts.versus = (first, second, level) => {
    const [one, two] = [first[level], second[level]];
    const differences = LIW.scores.differences(one.contribution, two.contribution);
    const widest = Math.max(...differences.map(([, value]) => Math.abs(value)), 1e-9);
    const { match } = LIW.scores;
    const box = el(
      "div",
      { class: "vs", role: "table", "aria-label": "Difference by query token" },
      el(
        "div",
        { role: "row" },
        ["Query token", `in ${first.id}`, "difference", `in ${second.id}`, ""].map((head, i) =>
          el(
            "div",
            { role: "columnheader", class: "vhead " + ["who", "left", "axis-head", "right", "n"][i] },
            i === 4 ? el("span", { class: "hidden" }, "number") : head,
          ),
        ),
      ),
    );
    differences.forEach(([row, value]) => {
      const width = (48 * Math.abs(value)) / widest;
      const bar = el("i", {
        class: value < 0 ? "minus" : "",
        style: { width: width + "%", left: (value < 0 ? 50 - width : 50) + "%" },
      });
      box.append(
        el(
          "div",
          { role: "row" },
          el("div", { role: "rowheader", class: "who" }, one.query[row].text),
          el("div", { role: "cell", class: "left" }, match(one, row)),
          el(
            "div",
            { role: "cell", class: "axis" },
            bar,
            el("span", { class: "hidden" }, value < 0 ? "behind" : "ahead"),
          ),
          el("div", { role: "cell", class: "right" }, match(two, row)),
          el("div", { role: "cell", class: "n" }, signed(value)),
        ),
      );
    });
    box.append(
      el(
        "div",
        { role: "row", class: "total" },
        el("div", { role: "rowheader", class: "who" }, "in all"),
        el("div", { role: "cell", class: "left" }, fixed(first.score)),
        el("div", { role: "cell", class: "axis-head" }, "minus"),
        el("div", { role: "cell", class: "right" }, fixed(second.score)),
        el("div", { role: "cell", class: "n" }, signed(first.score - second.score)),
      ),
    );
    const [most, gain] = differences[0],
      [least, loss] = differences[differences.length - 1];
    const name = (row) => el("b", { class: "mono" }, one.query[row].text);
    return [
      el(
        "p",
        {},
        `${first.id} is ahead by ${fixed(first.score - second.score, 3)}, most of all on `,
        name(most),
        ` (${signed(gain)})`,
        loss < 0 ? ["; ", second.id, " does better on ", name(least), ` (${signed(loss)}).`] : ".",
      ),
      box,
    ];
  };
})();
