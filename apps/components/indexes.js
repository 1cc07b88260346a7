/* The page Indexes: a comparison that fills in, its frontier, and the facts of one index. */
LIW.pages.indexes = ({ element, props, send, watch, setup }) => {
  const { el, fixed, count, given, address, milliseconds, parts, bytes, duration } = LIW;
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
          ["first 10", (row) => given(row.recall_10, three)],
          ["first 100", (row) => given(row.recall_100, three)],
        ],
      ],
      [
        "against judgements",
        metrics.map(
          (name) =>
            /** @type {[string, any]} */ ([name.replace("ndcg", "nDCG"), (row) => given(row.metrics[name], three)]),
        ),
      ],
      [
        "ms a question",
        [
          ["median", (row) => given(row.p50, milliseconds)],
          ["95%", (row) => given(row.p95, milliseconds)],
        ],
      ],
      ["together", [["questions/s", (row) => given(row.per_second, (v) => count(Math.round(v)))]]],
      [
        "size",
        [
          ["bytes a token", (row) => given(row.per_token, (v) => fixed(v, v < 100 ? 1 : 0))],
          ["on disk", (row) => given(row.bytes, bytes)],
          ["at 1 M documents", (row) => given(row.million_bytes, bytes)],
        ],
      ],
      [
        "to make it",
        [
          ["build", (row) => given(row.build, duration)],
          ["memory", (row) => given(row.memory, bytes)],
        ],
      ],
    ];
    return parts.measured({ label: "Measured indexes", head: "Index", groups, rows, chosen, choose });
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
    const { rows, error, figures } = current;
    const empty = "Nothing measured yet. It takes a minute or two; rows fill in as they finish.";
    parts.running({ start, stop, said, run: current, pending, empty });
    const problem = error ? el("div", { class: "problem", role: "alert" }, error) : "";
    if (!rows.length) find(".result").replaceChildren(problem);
    else {
      const frontier = parts.frontier({
        figures,
        key: (one) => one.name,
        shown: quality,
        label: "Quality",
        alt: (one) => `${one.label} against milliseconds a question; the table below holds the numbers`,
        plot,
        change: (name) => {
          quality = name;
          address.write({ y: quality === "recall_10" ? "" : quality });
          draw();
        },
      });
      find(".result").replaceChildren(
        frontier || "",
        el(
          "div",
          { class: "card" },
          el("h2", {}, "All that was measured; choose a row for its facts and its trace"),
          table(rows),
          problem,
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
