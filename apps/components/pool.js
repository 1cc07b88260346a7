/* The page Pool factor: a study that fills in, a slider that moves through it, questions won and lost, merged tokens. */
LIW.pages.pool = ({ element, props, ask, send, watch, setup }) => {
  const { el, fixed, count, address, parts } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [method, index, start, stop, said, meter] = [".method", ".index", ".start", ".stop", ".progress", ".meter"].map(
    find,
  );
  const state = {
    factor: null,
    method: "",
    index: "",
    document: "",
    dim: "",
    pool: "",
    bits: "",
    budget: "",
    pools: "",
    against: "",
  };
  let asked = 0,
    explorer = null,
    following = null; // the point of the explorer that was moved last, null for the slider of the factors

  find(".intro").textContent =
    `Pooling merges token vectors of a document that say much the same. Measured here on ${setup.collection}: ` +
    `${count(setup.documents)} documents, ${count(setup.questions)} judged questions, each factor searched from ` +
    "scratch.";
  setup.methods.forEach((name) =>
    method.append(
      el(
        "option",
        { value: name },
        name === "hierarchical" ? "similar tokens (hierarchical)" : "neighbours (sequential)",
      ),
    ),
  );
  const words = (name) =>
    name.replace(/:bits=(\d)$/, (_, bits) => `, ${bits} bit${bits === "1" ? "" : "s"} a dimension`);
  setup.indexes.forEach((name) => index.append(el("option", { value: name }, words(name))));
  const from = address.read();
  state.factor = from.factor || null;
  state.document = from.document || setup.document;
  for (const name of ["dim", "pool", "bits", "budget", "pools", "against"]) state[name] = from[name] || "";
  if (setup.methods.includes(from.method)) method.value = from.method;
  if (setup.indexes.includes(from.index)) index.value = from.index;
  const remember = () =>
    address.write({
      factor: state.factor,
      document: state.document === setup.document ? "" : state.document,
      method: method.value === setup.methods[0] ? "" : method.value,
      index: index.value === setup.indexes[0] ? "" : index.value,
      dim: state.dim,
      pool: state.pool,
      bits: state.bits,
      budget: state.budget,
      pools: state.pools,
      against: state.against,
    });

  let current = props.value?.study || setup.study; // what is shown; props.value is only ever written by Python
  const study = () => current;
  const position = (rows) => {
    const at = rows.findIndex((row) => row.label === String(state.factor));
    return at >= 0
      ? at
      : Math.min(
          rows.length - 1,
          Math.max(
            0,
            rows.findIndex((row) => row.factor >= 2),
          ),
        );
  };

  const drawStatus = () => {
    const { status, done, total, next, error } = study();
    const running = status === "running";
    start.disabled = running;
    stop.hidden = !running;
    meter.hidden = !running;
    meter.firstElementChild.style.width = (100 * done) / Math.max(total, 1) + "%";
    if (running)
      said.textContent = next ? `${done} of ${total} factors done, measuring ${next}` : "Waiting for the machine";
    else if (status === "stopped")
      said.textContent = `Stopped after ${done} of ${total} factors; what is finished stays.`;
    else if (status === "done")
      said.textContent = study().seconds
        ? `${done} factors measured in ${Math.round(study().seconds)} s on this machine.`
        : `${done} factors, measured before.`;
    else
      said.textContent = setup.questions
        ? "Nothing measured yet. It takes about a minute; the figure fills in as factors finish."
        : "";
    if (error) find(".result").replaceChildren(el("div", { class: "problem", role: "alert" }, error));
  };

  const lead = (row) => {
    const node = el("p", { class: "lead", "aria-live": "polite" });
    row.sentence
      .replace("ndcg", "nDCG")
      .split(/((?:(?<![@\d.])[+−]?\d[\d,]*(?:\.\d+)?%?)(?: of the vectors| of [\d,]+ questions got worse| better)?)/)
      .forEach((part, i) => node.append(i % 2 ? el("b", {}, part) : part));
    return node;
  };

  const slider = el("input", { type: "range", min: 0, step: 1, "aria-label": "Pool factor" });
  slider.addEventListener("input", () => {
    state.factor = study().rows[Number(slider.value)].label;
    following = null;
    remember();
    draw();
    drawMerge();
    slider.focus();
  });
  /* The slider lies under the columns of the figure. */
  const align = (place) => {
    const { l, w } = place._fullLayout._size,
      [low, high] = place._fullLayout.xaxis.range,
      last = study().rows.length - 1;
    const at = (column) => l + (w * (column - low)) / (high - low);
    Object.assign(slider.style, { marginLeft: `${at(0) - 8}px`, width: `${at(last) - at(0) + 16}px` });
  };
  const plot = parts.plot({
    change: (figure) => LIW.withColumn(figure, position(study().rows), `rgba(${LIW.colour("heat")},.10)`),
    onDrawn: align,
    below: el("label", { class: "at-factor" }, el("span", { class: "hidden" }, "Pool factor"), slider),
  });

  const draw = () => {
    const rows = study().rows;
    drawStatus();
    if (!rows.length) {
      if (!study().error) find(".result").replaceChildren();
      find(".moved").replaceChildren();
      return;
    }
    const chosen = position(rows),
      row = rows[chosen];
    plot.show(
      study().figure,
      `${row.metric}, questions better and worse, size and time by pool factor; the table below holds the numbers`,
    );
    slider.max = String(rows.length - 1);
    slider.value = String(chosen);
    slider.setAttribute("aria-valuetext", row.label);
    const table = find(".result details")?.open;
    find(".result").replaceChildren(
      el(
        "div",
        { class: "card" },
        lead(row),
        plot.node,
        el("details", { open: table }, el("summary", {}, "The same as a table"), parts.poolTable(rows)),
        el(
          "p",
          { class: "note" },
          `Collection ${setup.collection}, model ${setup.model}, index ${words(study().index)}, ` +
            `${study().method} pooling. Times on ${setup.machine}.`,
        ),
      ),
    );
    drawMoved(row);
  };

  const drawMoved = (row) => {
    const entry = (item) => ({
      text: item.text,
      href: LIW.href("", { q: item.text, doc: item.first_before }),
      title: "See the reasons for its documents",
      change: `${fixed(item.before)} to ${fixed(item.after)}`,
      note:
        item.first_before === item.first_after
          ? `first stays ${item.first_before}`
          : `first was ${item.first_before}, is ${item.first_after}`,
    });
    const side = (word, list, all) =>
      parts.moved(`${LIW.questions(all)} got ${word} at factor ${row.label}`, list.map(entry), all);
    find(".moved").replaceChildren(
      el("div", { class: "two" }, side("worse", row.worse, row.n_worse), side("better", row.better, row.n_better)),
    );
  };

  const drawMerge = async () => {
    const rows = study().rows;
    const factor = rows.length ? rows[position(rows)].label : String(state.factor || 2);
    const ticket = ++asked;
    const point = following;
    const wanted = point
      ? { ...(point.settings ? { pool: point.settings } : { factor: "1" }), dim: String(point.dim) }
      : { factor, method: method.value };
    const answer = await ask.merge({ document: state.document, ...wanted });
    if (ticket !== asked) return;
    const choose = (name) => {
      state.document = name;
      remember();
      drawMerge();
    };
    find(".merge").replaceChildren(
      parts.merge({ answer, factor: point ? point.pool : factor, document: state.document, ask, choose }),
    );
  };

  start.addEventListener("click", () => {
    remember();
    current = {
      status: "running",
      done: 0,
      total: 1,
      next: "",
      rows: [],
      figure: "",
      error: "",
      method: method.value,
      index: index.value,
    };
    draw();
    send("measure", { method: method.value, index: index.value });
  });
  stop.addEventListener("click", () => {
    send("halt", {});
    said.textContent = "Stopping after the factor at hand";
  });
  [method, index].forEach((choice) =>
    choice.addEventListener("change", async () => {
      remember();
      const kept = await ask.kept({ method: method.value, index: index.value });
      if (!("rows" in kept)) {
        LIW.problem(find(".result"), kept.error);
        return;
      }
      current = kept;
      draw();
      drawMerge();
    }),
  );
  watch("value", () => {
    if (props.value.explored) {
      explorer.show(props.value.explored);
      return;
    }
    current = props.value.study;
    draw();
  });
  explorer = parts.explorer({
    offered: { ...setup.explorer, explored: props.value?.explored || setup.explorer.explored },
    setup,
    state,
    remember,
    measure: (request) => send("measure", request),
    halt: () => send("halt", {}),
    kept: (request) => ask.explored(request),
    changed: (point) => {
      following = point || null;
      drawMerge();
    },
  });
  find(".explore").replaceChildren(explorer.node);
  draw();
  LIW.page.complete = async () => {
    for (const row of study().rows)
      await ask.merge({ document: state.document, factor: row.label, method: method.value });
  };
  if (props.value?.study) drawMerge();
  else method.dispatchEvent(new Event("change")); // shows a study that is finished already
};
