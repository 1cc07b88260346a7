/* The page Pool factor: a study that fills in, a slider that moves through it, questions won and lost, merged tokens. */
LIW.pages.pool = (element, props, ask, send, watch, setup) => {
  const { el, fixed, count, address, parts } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [method, index, start, stop, said, meter] = [".method", ".index", ".start", ".stop", ".progress", ".meter"].map(find);
  const state = { factor: null, method: "", index: "", document: "" };
  let asked = 0;

  find(".intro").textContent = `Pooling merges token vectors of a document that say much the same. Measured here on ${setup.collection}: `
    + `${count(setup.documents)} documents, ${count(setup.questions)} judged questions, each factor searched from scratch.`;
  setup.methods.forEach((name) => method.append(el("option", { value: name }, name === "hierarchical" ? "similar tokens (hierarchical)" : "neighbours (sequential)")));
  const words = (name) => name.replace(/:bits=(\d)$/, (_, bits) => `, ${bits} bit${bits === "1" ? "" : "s"} a dimension`);
  setup.indexes.forEach((name) => index.append(el("option", { value: name }, words(name))));
  const from = address.read();
  state.factor = from.factor || null;
  state.document = from.document || setup.document;
  if (setup.methods.includes(from.method)) method.value = from.method;
  if (setup.indexes.includes(from.index)) index.value = from.index;
  const remember = () => address.write({ factor: state.factor, document: state.document === setup.document ? "" : state.document, method: method.value === setup.methods[0] ? "" : method.value, index: index.value === setup.indexes[0] ? "" : index.value });

  let current = props.value?.study || setup.study; // what is shown; props.value is only ever written by Python
  const study = () => current;
  const position = (rows) => {
    const at = rows.findIndex((row) => row.label === String(state.factor));
    return at >= 0 ? at : Math.min(rows.length - 1, Math.max(0, rows.findIndex((row) => row.factor >= 2)));
  };

  const drawStatus = () => {
    const { status, done, total, next, error } = study();
    const running = status === "running";
    start.disabled = running; stop.hidden = !running; meter.hidden = !running;
    meter.firstElementChild.style.width = (100 * done) / Math.max(total, 1) + "%";
    if (running) said.textContent = next ? `${done} of ${total} factors done, measuring ${next}` : "Waiting for the machine";
    else if (status === "stopped") said.textContent = `Stopped after ${done} of ${total} factors; what is finished stays.`;
    else if (status === "done") said.textContent = `${done} factors measured in ${Math.round(study().seconds)} s on this machine.`;
    else said.textContent = setup.questions ? "Nothing measured yet. It takes about a minute; the figure fills in as factors finish." : "";
    if (error) find(".result").replaceChildren(el("div", { class: "problem", role: "alert" }, error));
  };

  const lead = (row) => {
    const node = el("p", { class: "lead", "aria-live": "polite" });
    row.sentence.replace("ndcg", "nDCG").split(/((?:(?<![@\d.])[+−]?\d[\d,]*(?:\.\d+)?%?)(?: of the vectors| of [\d,]+ questions got worse| better)?)/).forEach((part, i) => node.append(i % 2 ? el("b", {}, part) : part));
    return node;
  };

  const draw = () => {
    const rows = study().rows;
    drawStatus();
    if (!rows.length) { if (!study().error) find(".result").replaceChildren(); find(".moved").replaceChildren(); return; }
    const chosen = position(rows), row = rows[chosen], width = Math.max(300, Math.min(1000, element.clientWidth - 240));
    const figure = parts.poolRows(rows, Math.max(study().total, rows.length), chosen, element.clientWidth < 740 ? element.clientWidth - 60 : width);
    const slider = el("input", { type: "range", min: 0, max: rows.length - 1, step: 1, value: chosen, "aria-label": "Pool factor", "aria-valuetext": row.label });
    const share = (rows.length - 1) / Math.max(study().total, rows.length);
    Object.assign(slider.style, { marginLeft: `calc(${100 * figure.inset}% - 8px)`, width: `calc(${100 * share}% + 16px)` });
    slider.addEventListener("input", () => {
      state.factor = rows[slider.value].label; remember(); draw(); drawMerge();
      find("input[type=range]").focus();
    });
    const table = find(".result details")?.open;
    find(".result").replaceChildren(el("div", { class: "card" }, lead(row),
      el("div", { class: "row" }, el("div", { class: "lab" }, el("b", {}, "Pool factor"), el("span", {}, "tokens merged into one vector")), el("div", {}, slider, figure.axis)),
      ...figure.rows, el("details", { open: table }, el("summary", {}, "The same as a table"), parts.poolTable(rows)),
      el("p", { class: "note" }, `Collection ${setup.collection}, model ${setup.model}, index ${words(study().index)}, ${study().method} pooling. Times on ${setup.machine}.`)));
    drawMoved(row);
  };

  const asking = (title, list, total, empty) => el("div", { class: "card" }, el("h2", {}, title), list.length
    ? el("ol", { class: "asked" }, list.map((item) => el("li", {},
      el("a", { href: LIW.href("", { q: item.text, doc: item.first_before }), title: "See the reasons for its documents" }, item.text),
      el("span", { class: "num" }, `${fixed(item.before)} to ${fixed(item.after)}`),
      el("small", {}, item.first_before === item.first_after ? `first stays ${item.first_before}` : `first was ${item.first_before}, is ${item.first_after}`))))
    : el("p", { class: "note" }, empty), total > list.length ? el("p", { class: "note" }, `The ${list.length} that moved most, of ${total}.`) : null);
  const drawMoved = (row) => find(".moved").replaceChildren(el("div", { class: "two" },
    asking(`${row.n_worse} questions got worse at factor ${row.label}`, row.worse, row.n_worse, "None."),
    asking(`${row.n_better} questions got better at factor ${row.label}`, row.better, row.n_better, "None.")));

  const drawMerge = async () => {
    const rows = study().rows, factor = rows.length ? rows[position(rows)].label : String(state.factor || 2);
    const ticket = ++asked;
    const answer = await ask.merge({ document: state.document, factor, method: method.value });
    if (ticket !== asked) return;
    const field = el("input", { type: "text", list: "liw-names", value: state.document, "aria-label": "Document", class: "field mono" });
    const names = el("datalist", { id: "liw-names" });
    field.addEventListener("input", async () => names.replaceChildren(...((await ask.names({ text: field.value })).names || []).map((name) => el("option", { value: name }))));
    field.addEventListener("change", () => { state.document = field.value.trim(); remember(); drawMerge(); });
    const card = el("div", { class: "card" }, el("h2", {}, `Which tokens become one vector at factor ${factor}`), el("label", { class: "tools" }, "Document", field, names));
    find(".merge").replaceChildren(card);
    if (answer.error) { card.append(el("div", { class: "problem", role: "alert", style: { "margin-top": "12px" } }, answer.error)); return; }
    const same = (group) => card.querySelectorAll("[data-group]").forEach((node) => node.classList.toggle("same", group !== null && node.dataset.group === String(group)));
    const watchers = (group) => ({ mouseenter: () => same(group), mouseleave: () => same(null), focus: () => same(group), blur: () => same(null) });
    const prose = el("p", { class: "text merged", dir: "auto" }, answer.segments.flatMap((part) => part.group === null || part.group < 0 ? [part.text]
      : [el("span", { "data-group": part.group, on: watchers(part.group), style: { background: `rgba(var(--tint),calc(var(--strong) * ${.18 + .1 * (part.group % 3)}))` } }, part.text), el("sub", { "aria-hidden": "true" }, String(part.group + 1))]));
    const list = el("div", { class: "groups" }, answer.groups.map((tokens, group) => el("button", { type: "button", "data-group": group, on: watchers(group) }, `${group + 1}  ${tokens.join(" + ")}`)));
    card.append(prose, el("p", { class: "note" }, `${answer.tokens} tokens become ${answer.vectors} vectors. The same number: merged into one vector; without a number: kept as it is.`), list);
  };

  start.addEventListener("click", () => {
    remember();
    current = { status: "running", done: 0, total: 1, next: "", rows: [], error: "", method: method.value, index: index.value };
    draw();
    send("measure", { method: method.value, index: index.value });
  });
  stop.addEventListener("click", () => { send("halt", {}); said.textContent = "Stopping after the factor at hand"; });
  [method, index].forEach((choice) => choice.addEventListener("change", async () => {
    remember();
    const kept = await ask.kept({ method: method.value, index: index.value });
    if (!("rows" in kept)) { LIW.problem(find(".result"), kept.error); return; }
    current = kept;
    draw(); drawMerge();
  }));
  watch("value", () => { current = props.value.study; draw(); });
  let width = element.clientWidth;
  new ResizeObserver(() => { if (Math.abs(element.clientWidth - width) > 20) { width = element.clientWidth; draw(); } }).observe(element);
  draw();
  LIW.page.complete = async () => { for (const row of study().rows) await ask.merge({ document: state.document, factor: row.label, method: method.value }); };
  if (props.value?.study) drawMerge();
  else method.dispatchEvent(new Event("change")); // shows a study that is finished already
};
