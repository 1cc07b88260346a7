/* The page Indexes: a comparison that fills in, its frontier, and the facts of one index. */
LIW.pages.indexes = ({ element, props, send, watch, setup }) => {
  const { el, fixed, count, address, milliseconds, parts, bytes, duration } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [kinds, extra, matched, limit, start, stop, said] = [
    ".kinds",
    ".extra",
    ".matched",
    ".limit",
    ".start",
    ".stop",
    ".progress",
  ].map(find);
  let current = props.value?.run || setup.run,
    chosen = address.read().index || "",
    quality = address.read().y || "recall_10",
    pending = false;

  find(".intro").textContent =
    `Every index gets the same vectors of ${setup.collection} (${count(setup.documents)} documents, model ` +
    `${setup.model}) and runs in its own process. ` +
    "Recall says how much of exact MaxSim it finds; nDCG says how good the answers are. They are not the same thing.";
  const boxes = setup.kinds.map(({ name, missing }) => {
    const box = el("input", { type: "checkbox", value: name, disabled: Boolean(missing) });
    box.checked = !missing;
    kinds.append(
      el(
        "label",
        { class: "check" + (missing ? " missing" : ""), title: missing || undefined },
        box,
        name + (missing ? " (not installed)" : ""),
      ),
    );
    return box;
  });
  [...setup.limits, 0].forEach((most) =>
    limit.append(
      el("option", { value: most }, most ? `${count(most)} questions` : `all ${count(setup.asked)} questions`),
    ),
  );

  const dash = (value, format) => (value === null || value === undefined ? "" : format(value));
  const plot = parts.plot({
    change: (figure) => LIW.withMark(figure, chosen, LIW.colour("accent2")),
    onPoint: (name) => choose(name),
  });

  const table = (rows) => {
    const metrics = Object.keys(rows.find((row) => !row.error)?.metrics || {});
    const three = (v) => fixed(v, 3);
    /** @type {[string, [string, (row: any) => string][]][]} */
    const groups = [
      [
        "found of exact MaxSim",
        [
          ["first 10", (row) => dash(row.recall_10, three)],
          ["first 100", (row) => dash(row.recall_100, three)],
        ],
      ],
      [
        "against judgements",
        metrics.map(
          (name) =>
            /** @type {[string, any]} */ ([name.replace("ndcg", "nDCG"), (row) => dash(row.metrics[name], three)]),
        ),
      ],
      [
        "ms a question",
        [
          ["median", (row) => dash(row.p50, milliseconds)],
          ["95%", (row) => dash(row.p95, milliseconds)],
        ],
      ],
      ["together", [["questions/s", (row) => dash(row.per_second, (v) => count(Math.round(v)))]]],
      [
        "size",
        [
          ["bytes a token", (row) => dash(row.per_token, (v) => fixed(v, v < 100 ? 1 : 0))],
          ["on disk", (row) => dash(row.bytes, bytes)],
          ["at 1 M documents", (row) => dash(row.million_bytes, bytes)],
        ],
      ],
      [
        "to make it",
        [
          ["build", (row) => dash(row.build, duration)],
          ["memory", (row) => dash(row.memory, bytes)],
        ],
      ],
    ];
    const shown = groups.filter(([, columns]) => columns.length);
    const all = shown.flatMap(([, columns]) => columns);
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Measured indexes" },
      el(
        "table",
        { class: "plain records" },
        el("caption", { class: "hidden" }, "Measured indexes"),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td", {}),
            shown.map(([name, columns]) =>
              el("th", { scope: "colgroup", colspan: String(columns.length), class: "n group" }, name),
            ),
          ),
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "Index"),
            all.map(([head]) => el("th", { scope: "col", class: "n" }, head)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              { class: row.name === chosen ? "on" : "", on: { click: () => choose(row.name) } },
              el(
                "th",
                { scope: "row" },
                el("button", { type: "button", "aria-pressed": String(row.name === chosen) }, row.name),
              ),
              row.error
                ? el("td", { colspan: String(all.length) }, row.error)
                : all.map(([, cell]) => el("td", { class: "n" }, cell(row))),
            ),
          ),
        ),
      ),
    );
  };

  const facts = (row) => {
    const list = el("dl", { class: "facts" });
    const add = (name, ...text) => list.append(el("dt", {}, name), el("dd", {}, ...text));
    add("Settings", el("span", { class: "mono" }, row.spec));
    if (row.can.length) add("It can", row.can.join(", "));
    if (row.cannot.length) add("It cannot", row.cannot.join(", "));
    if (!row.error) {
      add(
        "Milliseconds",
        `half of the questions took at most ${milliseconds(row.p50)}, 95% at most ${milliseconds(row.p95)}, 99% ` +
          `at most ${milliseconds(row.p99)}`,
      );
      add(
        "1 million documents",
        `about ${bytes(row.million_bytes)} and ${duration(row.million_build)} to build, if both grow in proportion`,
      );
    }
    Object.entries(row.defaults).forEach(([name, text]) => add(name, text));
    row.notes.forEach((note) => add("Note", note));
    const { versions = {}, machine = {}, threads, k, queries } = current.shared;
    add(
      "Conditions",
      `${queries} questions, ${k} results each, ${threads} threads of ${machine.processor || setup.machine}`,
      machine.memory_bytes ? `, ${bytes(Number(machine.memory_bytes))} memory` : "",
      machine.system ? `, ${machine.system}` : "",
    );
    add(
      "Versions",
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", "),
    );
    if (setup.traced.includes(row.kind))
      add(
        "Trace",
        el(
          "a",
          { href: LIW.href("xray", { kind: row.name === row.kind ? row.kind : row.spec }) },
          "Follow a document through this index, and see where it loses relevant ones",
        ),
      );
    return el(
      "div",
      { class: "card" },
      el("h2", {}, row.name),
      row.error ? el("div", { class: "problem" }, row.error) : null,
      list,
    );
  };

  const choose = (name) => {
    chosen = name;
    address.write({ index: name });
    draw();
  };
  const draw = () => {
    const { status, rows, step, error } = current,
      running = status === "running" || pending;
    start.disabled = running;
    stop.hidden = !running;
    said.textContent = LIW.stage(
      pending ? "pending" : status,
      step,
      "Nothing measured yet. It takes a minute or two; rows fill in as they finish.",
    );
    if (!rows.length)
      find(".result").replaceChildren(...(error ? [el("div", { class: "problem", role: "alert" }, error)] : []));
    else {
      const figures = current.figures,
        shown = figures.find((one) => one.name === quality) || figures[0];
      const choice = el(
        "select",
        {
          "aria-label": "Quality",
          on: {
            change: () => {
              quality = choice.value;
              address.write({ y: quality === "recall_10" ? "" : quality });
              draw();
            },
          },
        },
        figures.map(({ name, label }) => el("option", { value: name }, label)),
      );
      if (shown) {
        choice.value = shown.name;
        plot.show(shown.figure, `${shown.label} against milliseconds a question; the table below holds the numbers`);
      }
      find(".result").replaceChildren(
        shown
          ? el(
              "div",
              { class: "card" },
              el("div", { class: "head" }, el("h2", {}, "Up and to the left is better"), choice),
              plot.node,
            )
          : "",
        el(
          "div",
          { class: "card" },
          el("h2", {}, "All that was measured; choose a row for its facts and its trace"),
          table(rows),
          error ? el("div", { class: "problem", role: "alert" }, error) : "",
        ),
      );
    }
    const row = rows.find((one) => one.name === chosen);
    find(".chosen").replaceChildren(...(row ? [facts(row)] : []));
  };

  start.addEventListener("click", () => {
    pending = true;
    current = { ...current, rows: [], error: "", status: "running", step: "" };
    draw();
    send("compare", {
      specs: [
        ...boxes.filter((box) => box.checked).map((box) => box.value),
        ...(extra.value.trim() ? [extra.value.trim()] : []),
      ],
      matched: matched.checked,
      queries: Number(limit.value),
    });
  });
  stop.addEventListener("click", () => {
    send("halt", {});
    said.textContent = "Stopping";
  });
  watch("value", () => {
    pending = false;
    current = props.value.run;
    draw();
  });
  draw();
};
