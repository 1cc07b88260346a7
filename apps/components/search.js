/* The page Search and explain: a question, ranked documents, and the reasons for each. */
LIW.pages.search = (element, props, ask, send, watch, setup) => {
  const { el, fixed, address, parts, added } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [form, list, pair, examples] = [find("form"), find(".hits"), find(".pair"), find(".examples")];
  const input = form.querySelector("input"), count = find(".count"), told = find(".told");
  const FRESH = { doc: "", token: null, vs: "", step: null };
  const state = { q: "", level: "words", added: true, model: "", ...FRESH };
  let found = null, shown = null, asked = 0;

  const remember = (push) => address.write({
    q: state.q, doc: state.doc, token: state.token, level: state.level === "words" ? "" : state.level,
    added: state.added ? "" : "no", vs: state.vs, model: state.model, step: state.step,
  }, push);
  const whole = (text) => (/^-?\d+$/.test(text || "") ? Number(text) : null);
  const recall = () => {
    const from = address.read();
    Object.assign(state, {
      q: from.q || "", doc: from.doc || "", vs: from.vs || "", model: from.model || "", added: from.added !== "no",
      level: from.level === "pieces" ? "pieces" : "words", token: whole(from.token), step: whole(from.step),
    });
  };
  /* The newest answer wins; an error takes the place. */
  const call = async (place, promise) => {
    const ticket = ++asked;
    element.setAttribute("aria-busy", "true");
    const answer = await promise;
    if (ticket !== asked) return null;
    element.removeAttribute("aria-busy");
    if (!answer.error) return answer;
    LIW.problem(place, answer.error);
    return null;
  };

  const search = async (push) => {
    input.value = state.q;
    const answer = await call(pair, ask.search({ question: state.q, document: state.doc }));
    if (!answer) { list.replaceChildren(); count.textContent = ""; return; }
    found = answer.found;
    state.q = answer.question;
    const milliseconds = Math.max(1, Math.round(found.seconds * 1000));
    count.textContent = `${found.index}, ${milliseconds} ms; scored on ${found.scored_on}`;
    told.textContent = `${found.hits.length} documents found, the best is ${found.hits[0]?.id}`;
    show(answer.pair, push);
  };
  const open = async (name) => {
    Object.assign(state, { doc: name, vs: "", step: null });
    const answer = await call(pair, ask.explain({ question: state.q, document: name }));
    if (answer) show(answer.pair, true);
    if (answer && matchMedia("(max-width: 860px)").matches) pair.scrollIntoView({ behavior: "smooth" });
  };
  const show = (next, push) => {
    shown = next; state.doc = next.id;
    if (state.token !== null && state.token >= next[state.level].query.length) state.token = null;
    remember(push);
    drawHits(); drawPair();
  };

  const bar = (hit, top) => el("span", { class: "bar", "aria-hidden": "true" }, hit.contribution.map((value) =>
    el("i", { style: { width: (100 * Math.max(value, 0)) / top + "%", opacity: .25 + .75 * Math.min(1, Math.max(0, value)) } })));
  const drawHits = () => {
    const top = Math.max(...found.hits.map((hit) => hit.contribution.reduce((sum, value) => sum + Math.max(value, 0), 0)), 1e-9);
    const most = Math.max(...found.hits.flatMap((hit) => hit.snippet.map((part) => part.weight)), 1e-9);
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...found.hits.map((hit) => el("li", {}, el("button", {
      class: "hit", type: "button", "aria-current": hit.id === state.doc ? "true" : undefined, on: { click: () => open(hit.id) },
    }, el("span", { class: "t" }, el("span", { class: "rank" }, String(hit.rank)), el("span", { class: "title" }, ...broken(hit.title)), el("span", { class: "value" }, fixed(hit.score))),
    el("span", { class: "s" }, hit.snippet.map((part) => part.weight > 0
      ? el("span", { style: { background: `rgba(var(--tint),calc(var(--strong) * ${(.6 * part.weight / most).toFixed(3)}))` } }, part.text) : part.text)),
    hit.grade ? el("span", { class: "grade" }, hit.grade) : null, bar(hit, top)))));
    if (focused) list.querySelector("[aria-current]")?.focus();
  };
  /* A dotted name may break after its dots and underscores. */
  const broken = (name) => name.split(/(?<=[._/])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

  const drawPair = () => {
    const view = shown[state.level], room = pair.clientWidth;
    const rows = view.query.map((_, i) => i).filter((i) => state.added || !added(view.query[i]));
    const columns = view.document.map((_, i) => i).filter((i) => state.added || !added(view.document[i]));
    const select = (unit) => {
      chips.select(unit, state.token); prose.select(unit); grid.select(unit);
      said.replaceChildren(...(unit === null
        ? ["Tint: the share of the score that each part is the best match for. Point at a query token to see its matches."]
        : ["Tint: similarity to ", el("b", { class: "mono" }, view.query[unit].text), ". Underlined: its best match."]));
    };
    const pin = (unit) => { state.token = state.token === unit ? null : unit; remember(); select(state.token); };
    const peek = (unit) => select(unit === null ? state.token : unit);
    const chips = parts.chips(view, rows, peek, pin), prose = parts.text(view, shown.read < shown.length ? shown.read : null);
    const grid = parts.matrix(view, rows, columns, room, pin);
    const said = el("p", { class: "note", "aria-live": "polite" }), extra = el("div", { class: "extra" });
    const tool = (label, run) => el("button", { class: "tool", type: "button", on: { click: run } }, label);
    const steps = (from) => {
      const seen = (unit, at) => { state.step = at; remember(); select(unit); };
      extra.replaceChildren(parts.steps(view, rows, from, seen, () => { state.step = null; remember(); extra.replaceChildren(); select(state.token); }));
    };
    const tools = el("div", { class: "tools row-tools" }, levels(), addedSwitch(),
      tool("Step through", () => { steps(-1); extra.firstChild.focus(); }), LIW.saved ? null : tool("Edit the text", () => editor(extra)),
      shown.edited ? tool("Back to the original", () => open(shown.id)) : null,
      el("a", { class: "tool", href: LIW.href("xray", { q: state.q, doc: shown.id }) }, "Trace through the index"));
    const cut = shown.read < shown.length
      ? el("p", { class: "note" }, `The model read the first ${LIW.count(shown.read)} of ${LIW.count(shown.length)} characters; the rest is struck through and cannot match.`) : null;
    pair.replaceChildren(
      el("div", { class: "card" },
        el("div", { class: "head top" }, el("div", {}, el("h1", { class: "name" }, shown.title || shown.id),
          el("p", { class: "note" }, "Each query token finds its best match in the document; their similarities add up to the score.")),
        el("div", { class: "score", "aria-label": "score" }, fixed(shown.score, 3))),
        el("p", { class: "note changed", role: "status" }), chips.node, parts.sum(view, shown.score), prose.node, said, cut, tools, extra),
      el("div", { class: "card" }, el("h2", {}, "Every query token against every document token"), grid.node,
        el("div", { class: "note tools" }, el("span", { class: "legend" }, el("i", {}), "similarity, 0 to 1"), el("span", { class: "legend" }, el("u", {}), "best match of the row")),
        el("details", { class: "as-table" }, el("summary", {}, "The same as a table"), parts.table(view, shown.score, shown.id))),
      ...versus(), ...models());
    select(state.token !== null && rows.includes(state.token) ? state.token : null);
    if (state.step !== null) steps(state.step);
  };
  const levels = () => el("span", { class: "switch", role: "group", "aria-label": "Level" }, [["words", "Words"], ["pieces", "Word pieces"]].map(([name, label]) =>
    el("button", { type: "button", "aria-pressed": String(state.level === name), on: { click: () => { Object.assign(state, { level: name, token: null, step: null }); remember(); drawPair(); pair.querySelector(".switch [aria-pressed=true]").focus(); } } }, label)));
  const addedSwitch = () => {
    const box = el("input", { type: "checkbox", on: { change: () => { state.added = box.checked; state.step = null; remember(); drawPair(); pair.querySelector(".check input").focus(); } } });
    box.checked = state.added;
    return el("label", { class: "check" }, box, "Tokens that the model adds");
  };

  const editor = (place) => {
    const field = el("textarea", { class: "edit", maxlength: "20000", "aria-label": "Text of the document", value: shown.text });
    const hit = found.hits.find((one) => one.id === shown.id);
    const run = async () => {
      const before = shown.score;
      const answer = await call(place, ask.rescore({ question: state.q, document: shown.id, text: field.value }));
      if (!answer) return;
      shown = { ...answer.pair, edited: true };
      state.step = null;
      drawPair();
      const rank = 1 + found.hits.filter((one) => one.id !== shown.id && one.score > shown.score).length;
      pair.querySelector(".changed").append(`Edited: the score went from ${fixed(before, 3)} to ${fixed(shown.score, 3)}`, hit ? ` (original ${fixed(hit.score, 3)})` : "",
        rank > found.hits.length - (hit ? 1 : 0) ? ", below the documents shown." : `, rank ${rank} among the documents shown.`);
    };
    place.replaceChildren(field, el("div", { class: "tools" }, el("button", { class: "tool main", type: "button", on: { click: run } }, "Score this text"), el("span", { class: "note" }, "The collection stays as it is.")));
    field.focus();
  };

  const versus = () => {
    const others = found.hits.filter((hit) => hit.id !== shown.id);
    if (shown.edited || !others.length) return [];
    const other = others.find((hit) => hit.id === state.vs) || others[0];
    const choose = el("select", { "aria-label": "Compare with", on: { change: () => { state.vs = choose.value; remember(); draw(choose.value); } } },
      others.map((hit) => el("option", { value: hit.id }, `${hit.rank}  ${hit.title}`)));
    choose.value = other.id;
    const title = el("h2", {}), body = el("div");
    const here = shown;
    const draw = async (name) => {
      const answer = await ask.explain({ question: state.q, document: name });
      if (answer.error) { LIW.problem(body, answer.error); return; }
      const [ahead, behind] = here.score >= answer.pair.score ? [here, answer.pair] : [answer.pair, here];
      title.replaceChildren(`Why ${ahead.id} (${fixed(ahead.score)}) outranks ${behind.id} (${fixed(behind.score)})`);
      body.replaceChildren(...parts.versus(ahead, behind, state.level));
    };
    draw(other.id);
    return [el("div", { class: "card against" }, el("div", { class: "head" }, title, el("label", { class: "note" }, "compare with ", choose)), body)];
  };

  const models = () => {
    const others = setup.models.filter((model) => model.label !== setup.model);
    if (shown.edited || !others.length) return [];
    const choose = el("select", { "aria-label": "Another model", on: { change: () => { state.model = choose.value; remember(); draw(); } } },
      el("option", { value: "" }, "choose a model"), others.map((model) => el("option", { value: model.name }, model.label)));
    choose.value = others.some((model) => model.name === state.model) ? state.model : "";
    const body = el("div"), here = shown;
    const draw = async () => {
      if (!choose.value) { body.replaceChildren(el("p", { class: "note" }, "Choose a second model to see what it matches in this document.")); return; }
      body.replaceChildren(el("p", { class: "note", role: "status" }, "Loading the model"));
      const answer = await ask.second({ question: state.q, document: here.id, model: choose.value });
      if (answer.error) LIW.problem(body, answer.error);
      else body.replaceChildren(...parts.twoModels(here, answer.pair, [setup.model, answer.model]));
    };
    draw();
    return [el("div", { class: "card models" }, el("div", { class: "head" }, el("h2", {}, "The same pair with another model"), choose), body)];
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(state, FRESH, { q: input.value });
    search(true);
  });
  if (setup.examples.length) examples.append(el("span", {}, "For example"), ...setup.examples.map((text) =>
    el("button", { type: "button", class: "tool", on: { click: () => { Object.assign(state, FRESH, { q: text }); search(true); } } }, text)));
  examples.after(LIW.about(setup));
  LIW.roving(list, ".hit");
  if (LIW.saved) input.readOnly = true;
  LIW.page.complete = async () => {
    await ask.search({ question: state.q, document: state.doc });
    for (const hit of found ? found.hits : []) await ask.explain({ question: state.q, document: hit.id });
  };
  window.addEventListener("popstate", () => { recall(); search(false); });
  recall();
  state.q = state.q || setup.examples[0] || "";
  if (state.q) search(false);
  else pair.replaceChildren(el("div", { class: "card" }, el("p", {}, "Ask a question to see which documents answer it, and which of their words match yours.")));
};
