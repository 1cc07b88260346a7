/* The page Search and explain: a question, ranked documents, and the reasons for each. */
LIW.pages.search = (element, props, server) => {
  const { el, fixed, address, parts, added } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [form, list, pair, examples] = [find("form"), find(".hits"), find(".pair"), find(".examples")];
  const input = form.querySelector("input"), count = find(".count"), told = find(".told");
  const state = { q: "", doc: "", token: null, level: "words", added: true, vs: "" };
  let found = null, shown = null, asked = 0;

  const remember = (push) => address.write({
    q: state.q, doc: state.doc, token: state.token, level: state.level === "words" ? "" : state.level,
    added: state.added ? "" : "no", vs: state.vs,
  }, push);
  const recall = () => {
    const from = address.read();
    Object.assign(state, {
      q: from.q || "", doc: from.doc || "", vs: from.vs || "", added: from.added !== "no",
      level: from.level === "pieces" ? "pieces" : "words", token: /^\d+$/.test(from.token || "") ? Number(from.token) : null,
    });
  };
  const problem = (place, text) => place.replaceChildren(el("div", { class: "problem", role: "alert" }, text));
  const call = async (place, run) => {
    const ticket = ++asked;
    element.setAttribute("aria-busy", "true");
    let answer;
    try { answer = await run(); } catch { answer = { error: "The workbench does not answer: see whether it still runs in its terminal." }; }
    if (ticket !== asked) return null; // a newer question is on its way
    element.removeAttribute("aria-busy");
    if (!answer.error) return answer;
    problem(place, answer.error);
    return null;
  };

  const ask = async (push) => {
    input.value = state.q;
    const answer = await call(pair, () => server.search({ question: state.q, document: state.doc }));
    if (!answer) { list.replaceChildren(); count.textContent = ""; return; }
    found = answer.found;
    state.q = answer.question;
    drawHits();
    const said = `${LIW.count(found.documents)} documents, ${found.index}, ${Math.max(1, Math.round(found.seconds * 1000))} ms`;
    count.textContent = said;
    told.textContent = `${found.hits.length} documents found, the best is ${found.hits[0]?.id}`;
    show(answer.pair, push);
  };
  const open = async (name) => {
    state.doc = name; state.vs = "";
    const answer = await call(pair, () => server.explain({ question: state.q, document: name }));
    if (answer) show(answer.pair, true);
    if (answer && matchMedia("(max-width: 860px)").matches) pair.scrollIntoView({ behavior: "smooth" });
  };
  const show = (next, push) => {
    shown = next; state.doc = next.id;
    if (state.token !== null && state.token >= next[state.level].query.length) state.token = null;
    remember(push);
    drawHits(); drawPair();
  };

  const bar = (hit, top) => el("span", { class: "bar", "aria-hidden": "true" }, hit.contribution.map((value, i) =>
    el("i", { "data-token": i, style: { width: (100 * Math.max(value, 0)) / top + "%", opacity: .25 + .75 * Math.min(1, Math.max(0, value)) } })));
  const drawHits = () => {
    const top = Math.max(...found.hits.map((hit) => hit.contribution.reduce((sum, value) => sum + Math.max(value, 0), 0)), 1e-9);
    const most = Math.max(...found.hits.flatMap((hit) => hit.snippet.map((part) => part.weight)), 1e-9);
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...found.hits.map((hit) => el("li", {}, el("button", {
      class: "hit", type: "button", "aria-current": hit.id === state.doc ? "true" : undefined, on: { click: () => open(hit.id) },
    }, el("span", { class: "t" }, el("span", {}, `${hit.rank}  ${hit.title}`, hit.grade ? el("span", { class: "grade" }, hit.grade) : null), el("span", {}, fixed(hit.score))),
    el("span", { class: "s" }, hit.snippet.map((part) => part.weight > 0
      ? el("span", { style: { background: `rgba(var(--tint),${(.6 * part.weight / most).toFixed(3)})` } }, part.text) : part.text)),
    bar(hit, top)))));
    if (focused) list.querySelector("[aria-current]")?.focus();
  };

  const drawPair = () => {
    const view = shown[state.level];
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
    const grid = parts.matrix(view, rows, columns, pin);
    const said = el("p", { class: "note", "aria-live": "polite" });
    const room = el("div");
    const step = el("button", { class: "tool", type: "button", on: { click: () => { room.replaceChildren(parts.steps(view, rows, select)); room.firstChild.focus(); } } }, "Step through");
    const edit = el("button", { class: "tool", type: "button", on: { click: () => editor(room) } }, "Edit the text");
    const back = shown.edited ? el("button", { class: "tool", type: "button", on: { click: () => open(shown.id) } }, "Back to the original") : null;
    const copy = el("button", { class: "tool", type: "button", on: { click: () => LIW.copy(location.href, copy) } }, "Copy link");
    const picture = el("button", { class: "tool", type: "button", on: { click: () => grid.canvas.toBlob((blob) => LIW.save(shown.id + ".png", blob)) } }, "Save matrix as PNG");
    pair.replaceChildren(
      el("div", { class: "card" },
        el("div", { class: "head" }, el("div", {}, el("h1", { class: "name" }, shown.title || shown.id),
          el("p", { class: "note" }, "Each query token finds its best match in the document; their similarities add up to the score.")),
        el("div", { class: "score", "aria-label": "score" }, fixed(shown.score, 3))),
        el("p", { class: "note changed", role: "status" }), chips.node, parts.sum(view, shown.score), prose.node, said, shown.read < shown.length
          ? el("p", { class: "note" }, `The model read the first ${LIW.count(shown.read)} of ${LIW.count(shown.length)} characters; the rest is struck through and cannot match.`) : null,
        el("div", { class: "tools", style: { "margin-top": "14px" } }, levels(), addedSwitch(), step, edit, back, copy), room),
      el("div", { class: "card" }, el("h2", {}, "Every query token against every document token"), grid.node,
        el("div", { class: "note tools" }, el("span", { class: "legend" }, el("i", {}), "similarity, 0 to 1"), el("span", { class: "legend" }, el("u", {}), "best match of the row"), picture)),
      ...versus(view),
      el("div", { class: "card" }, el("details", {}, el("summary", {}, "The same as a table"), parts.table(view, shown.score, shown.id))));
    select(state.token !== null && rows.includes(state.token) ? state.token : null);
  };
  const levels = () => el("span", { class: "switch", role: "group", "aria-label": "Level" }, [["words", "Words"], ["pieces", "Word pieces"]].map(([name, label]) =>
    el("button", { type: "button", "aria-pressed": String(state.level === name), on: { click: () => { state.level = name; state.token = null; remember(); drawPair(); pair.querySelector(".switch [aria-pressed=true]").focus(); } } }, label)));
  const addedSwitch = () => {
    const box = el("input", { type: "checkbox", on: { change: () => { state.added = box.checked; remember(); drawPair(); pair.querySelector(".check input").focus(); } } });
    box.checked = state.added;
    return el("label", { class: "check" }, box, "Tokens that the model adds");
  };

  const editor = (room) => {
    const field = el("textarea", { class: "edit", maxlength: "20000", "aria-label": "Text of the document", value: shown.text });
    const original = found.hits.find((hit) => hit.id === shown.id)?.score;
    const run = async () => {
      const before = shown.score;
      const answer = await call(pair, () => server.rescore({ question: state.q, document: shown.id, text: field.value }));
      if (!answer) return;
      shown = { ...answer.pair, edited: true };
      drawPair();
      pair.querySelector(".changed").append(`Edited: the score went from ${fixed(before, 3)} to ${fixed(shown.score, 3)}`, original === undefined ? "." : ` (original ${fixed(original, 3)}).`);
    };
    room.replaceChildren(field, el("div", { class: "tools", style: { "margin-top": "8px" } }, el("button", { class: "tool main", type: "button", on: { click: run } }, "Score this text"), el("span", { class: "note" }, "The collection stays as it is.")));
    field.focus();
  };

  const versus = (view) => {
    if (shown.edited) return [];
    const here = found.hits.findIndex((hit) => hit.id === shown.id);
    if (here < 0 || found.hits.length < 2) return [];
    let other = found.hits.findIndex((hit) => hit.id === state.vs && hit.id !== shown.id);
    if (other < 0) other = here ? 0 : 1;
    const by = (hit) => ({ id: hit.title, score: hit.score, contribution: found.groups[state.level].map((group) => group.reduce((sum, i) => sum + hit.contribution[i], 0)) });
    const [ahead, behind] = (other < here ? [other, here] : [here, other]).map((i) => by(found.hits[i]));
    const choose = el("select", { "aria-label": "Compare with", on: { change: () => { state.vs = choose.value; remember(); drawPair(); pair.querySelector(".against select").focus(); } } },
      found.hits.filter((hit) => hit.id !== shown.id).map((hit) => el("option", { value: hit.id }, `${hit.rank}  ${hit.title}`)));
    choose.value = found.hits[other].id;
    return [el("div", { class: "card against" }, el("div", { class: "head" },
      el("h2", {}, `Why ${ahead.id} (${fixed(ahead.score)}) outranks ${behind.id} (${fixed(behind.score)})`), el("label", { class: "note" }, "compare with ", choose)),
    parts.versus(view.query, ahead, behind))];
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(state, { q: input.value, doc: "", token: null, vs: "" });
    ask(true);
  });
  if (props.value.examples.length) examples.append("For example", ...props.value.examples.map((text) =>
    el("button", { type: "button", class: "tool", on: { click: () => { Object.assign(state, { q: text, doc: "", token: null, vs: "" }); ask(true); } } }, text)));
  LIW.roving(list, ".hit");
  window.addEventListener("popstate", () => { recall(); ask(false); });
  recall();
  state.q = state.q || props.value.examples[0] || "";
  if (state.q) ask(false);
  else pair.replaceChildren(el("div", { class: "card" }, el("p", {}, "Ask a question to see which documents answer it, and which of their words match yours.")));
};
