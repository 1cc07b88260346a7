/* The page Systems: which systems to compare, the answer, the frontier and the table; see pair.js of systems below. */
LIW.pages.systems = ({ element, props, ask, send, watch, setup }) => {
  const { el, fixed, count, given, address, milliseconds, bytes, duration, parts } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [picked, first, second, rerank, typed, add, limit, start, stop, said] = [
    ".picked",
    ".first",
    ".second",
    ".rerank",
    ".typed",
    ".add",
    ".limit",
    ".start",
    ".stop",
    ".progress",
  ].map(find);
  const from = address.read();
  let current = props.value?.run || setup.run,
    pending = false,
    chosen = from.system || "",
    shown = from.y || "ndcg@10 p50";
  const boxes = new Map();

  find(".intro").textContent =
    `Whole systems answer the same judged questions of ${setup.collection} (${count(setup.documents)} documents, ` +
    `${count(setup.questions)} judged questions, model ${setup.model}). What a question costs is measured without ` +
    "encoding it.";

  /* The systems to compare, as boxes; each may be taken away again. */
  const offer = (name, ticked = true) => {
    if (boxes.has(name)) {
      boxes.get(name).checked = true;
      return;
    }
    const box = el("input", { type: "checkbox", value: name });
    box.checked = ticked;
    boxes.set(name, box);
    picked.append(el("label", { class: "check" }, box, el("span", { class: "mono" }, name)));
  };
  const wanted = () => [...boxes].filter(([, box]) => box.checked).map(([name]) => name);
  const option = (name, text = name) => el("option", { value: name }, text);
  first.append(...setup.finders.map((name) => option(name)));
  second.append(option("", "nothing else"), ...setup.finders.map((name) => option(name)));
  rerank.append(option("", "nothing"), ...setup.rerankers.map((name) => option(name)));
  const compose = () => {
    const finds = second.value && second.value !== first.value ? `${first.value} + ${second.value}` : first.value;
    typed.value = rerank.value ? `${finds} > ${rerank.value}` : finds;
  };
  [first, second, rerank].forEach((menu) => menu.addEventListener("change", compose));
  const problem = (text) =>
    find(".problem-place").replaceChildren(text ? el("div", { class: "problem", role: "alert" }, text) : "");
  const addTyped = async () => {
    if (!typed.value.trim()) return true;
    const answer = await ask.read({ text: typed.value });
    problem(answer.error || "");
    if (answer.error) return false;
    offer(answer.name);
    typed.value = "";
    return true;
  };
  add.addEventListener("click", addTyped);
  (from.systems ? from.systems.split("|") : current.rows.length ? current.rows.map((row) => row.name) : setup.systems)
    .map((name) => name.trim())
    .filter(Boolean)
    .slice(0, setup.most)
    .forEach((name) => offer(name));
  [...setup.limits, 0].forEach((most) =>
    limit.append(option(String(most), most ? `${count(most)} questions` : `all ${count(setup.asked)} questions`)),
  );

  const plot = parts.plot({
    change: (figure) => LIW.withMark(figure, chosen, LIW.colour("accent2")),
    onPoint: (name) => choose(name),
  });
  const interval = ([, low, high]) => `${fixed(low, 3)} to ${fixed(high, 3)}`;

  const table = (rows) => {
    const metrics = Object.keys(rows.find((row) => !row.error)?.means || {});
    /** @type {[string, (row: any) => string][]} */
    const columns = [
      ...metrics.flatMap(
        (metric) =>
          /** @type {[string, (row: any) => string][]} */ ([
            [metric.replace("ndcg", "nDCG"), (row) => given(row.means[metric], ([mean]) => fixed(mean, 3))],
            ["95% interval", (row) => given(row.means[metric], interval)],
          ]),
      ),
      ["ms a question", (row) => given(row.p50, milliseconds)],
      ["ms by stage", (row) => row.stages.map((stage) => given(stage.p50_ms, milliseconds)).join(" + ")],
      ["size", (row) => given(row.bytes, bytes)],
      ["build", (row) => given(row.build, duration)],
    ];
    const letter = (row) => row.letter;
    return parts.measured({
      label: "Measured systems",
      head: "System",
      groups: [["", columns]],
      rows,
      chosen,
      choose,
      letter,
    });
  };

  /* What the stages of one system do. */
  const facts = (row) =>
    el(
      "div",
      { class: "facts-of" },
      el("h3", { class: "mono" }, row.name),
      el(
        "ol",
        { class: "asked" },
        row.stages.map((stage) =>
          el(
            "li",
            {},
            el("b", { class: "mono" }, stage.stage),
            el(
              "span",
              { class: "num" },
              given(stage.p50_ms, (value) => milliseconds(value) + " ms"),
            ),
            el(
              "small",
              {},
              [
                given(stage.entered, (value) => `looks at ${count(Math.round(value))} documents`),
                given(stage.sent, (value) => `sends on ${count(Math.round(value))}`),
                given(stage.bytes, bytes),
                Object.entries(stage.options)
                  .map(([name, value]) => `${name} ${value}`)
                  .join(", "),
              ]
                .filter(Boolean)
                .join("; "),
            ),
          ),
        ),
      ),
      row.notes.map((note) => el("p", { class: "note" }, note)),
    );

  const frontier = () =>
    parts.frontier({
      figures: current.figures,
      key: (figure) => `${figure.metric} ${figure.cost}`,
      shown,
      label: "Quality and cost",
      alt: (figure) => `${figure.label}; the table below holds the numbers`,
      plot,
      change: (name) => {
        shown = name;
        address.write({ y: shown === "ndcg@10 p50" ? "" : shown });
        draw();
      },
    });

  /* A cross-encoder behind the best system: what it would add is measured, not guessed. */
  const measureBehind = async (best, model) => {
    typed.value = `${best} > cross-encoder:${model},k=50`;
    if (await addTyped()) find("form").requestSubmit();
  };
  const beside = parts.besides({ ask, pair: find(".pair"), why: find(".why"), from });
  const lost = parts.losses({ place: find(".losses"), send });
  const choose = (name) => {
    chosen = name;
    address.write({ system: name });
    draw();
  };
  const draw = () => {
    const { rows, error } = current;
    const empty = "Nothing measured yet. Rows fill in as they finish.";
    const running = parts.running({ start, stop, said, run: current, pending, empty });
    find(".verdict").replaceChildren(
      parts.verdict(current.verdict, { see: (pair) => beside.open(pair[0], pair[1]), behind: measureBehind }),
    );
    const row = rows.find((one) => one.name === chosen);
    find(".result").replaceChildren(
      ...[
        frontier(),
        rows.length
          ? el(
              "div",
              { class: "card" },
              el("h2", {}, "All that was measured; choose a row for its stages"),
              table(rows),
              row && !row.error ? facts(row) : null,
            )
          : null,
        error ? el("div", { class: "card" }, el("div", { class: "problem", role: "alert" }, error)) : null,
      ].filter(Boolean),
    );
    const measured = running ? [] : rows.filter((one) => !one.error).map((one) => one.name);
    beside.offer(measured, current.verdict.pair);
    lost.offer(measured);
  };

  find("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (start.disabled || !(await addTyped())) return;
    problem("");
    pending = true;
    current = {
      ...current,
      rows: [],
      figures: [],
      error: "",
      status: "running",
      step: "",
      verdict: { answer: "", details: "", added: [], pair: [] },
    };
    address.write({ systems: wanted().join(" | ") });
    draw();
    send("compare", { systems: wanted(), queries: Number(limit.value) });
  });
  stop.addEventListener("click", () => {
    send("halt", {});
    said.textContent = "Stopping";
  });
  watch("value", () => {
    const { run, losses } = props.value;
    if (losses) lost.show(losses);
    if (!run) return;
    pending = false;
    current = run;
    draw();
  });
  draw();
  if (props.value?.losses) lost.show(props.value.losses);
};
