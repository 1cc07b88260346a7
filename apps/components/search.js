/* The page Search and explain: a question, ranked documents, and the reasons for each. */
LIW.pages.search = ({ element, ask: plain, setup }) => {
  const { el, fixed, address, parts, added } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [form, list, pair, examples] = [find("form"), find(".hits"), find(".pair"), find(".examples")];
  const input = form.querySelector("input"),
    count = find(".count"),
    told = find(".told");
  const FRESH = { doc: "", passage: null, token: null, vs: "", step: null };
  const state = { q: "", where: "", level: "words", added: true, model: "", scorer: "", ...FRESH };
  const ranked = (name) => (request) => plain[name]({ ...request, scorer: state.scorer });
  const ask = Object.fromEntries(
    ["search", "explain", "rescore", "second", "fields", "picture"].map((name) => [name, ranked(name)]),
  );
  let found = null,
    shown = null,
    asked = 0;

  const remember = (push) =>
    address.write(
      {
        q: state.q,
        where: state.where,
        doc: state.doc,
        passage: state.passage,
        token: state.token,
        level: state.level === "words" ? "" : state.level,
        added: state.added ? "" : "no",
        vs: state.vs,
        model: state.model,
        scorer: state.scorer,
        step: state.step,
      },
      push,
    );
  const recall = () => {
    const from = address.read();
    Object.assign(state, {
      q: from.q || "",
      where: from.where || "",
      doc: from.doc || "",
      vs: from.vs || "",
      model: from.model || "",
      scorer: from.scorer || "",
      added: from.added !== "no",
      level: from.level === "pieces" ? "pieces" : "words",
      passage: LIW.whole(from.passage),
      token: LIW.whole(from.token),
      step: LIW.whole(from.step),
    });
  };
  /* The menu of scorers; one that only the link or the command line names is in it too. */
  const menu = () => {
    const choose = find("select.scorer"),
      line = find(".scorer-line");
    const option = (name) => choose.append(el("option", { value: name }, name));
    setup.scorers.forEach((entry) => option(entry.name));
    choose.disabled = Boolean(LIW.saved);
    choose.addEventListener("change", () => {
      state.scorer = choose.value === setup.scorer ? "" : choose.value;
      Object.assign(state, { doc: "", vs: "", step: null });
      search(true);
    });
    const show = () => {
      const name = state.scorer || setup.scorer;
      if (![...choose.options].some((entry) => entry.value === name)) option(name);
      choose.value = name;
      const about = setup.scorers.find((entry) => entry.name === name.split(":")[0])?.about;
      line.textContent = about ? about + "." : "";
    };
    return { show };
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

  const wanted = (name) => ({
    question: state.q,
    document: name,
    ...(state.passage === null ? {} : { passage: String(state.passage) }),
  });
  const search = async (push) => {
    input.value = state.q;
    chosen.show(state.where);
    rank.show();
    const answer = await call(pair, ask.search({ ...wanted(state.doc), where: state.where }));
    if (!answer) {
      list.replaceChildren();
      count.textContent = "";
      return;
    }
    found = answer.found;
    state.q = answer.question;
    const milliseconds = Math.max(1, Math.round(found.seconds * 1000));
    const among = found.among ? `${found.among}; ` : "";
    count.textContent = `${among}${found.index}, ${milliseconds} ms; scored on ${found.scored_on}`;
    told.textContent = `${found.hits.length} documents found, the best is ${found.hits[0]?.id}`;
    show(answer.pair, push);
  };
  const open = async (name, passage = null) => {
    Object.assign(state, { doc: name, passage, vs: passage === null ? "" : state.vs, step: null });
    const answer = await call(pair, ask.explain(wanted(name)));
    if (answer) show(answer.pair, true);
    if (answer && passage !== null) pair.querySelector(".strip [aria-current]")?.focus();
    else if (answer && matchMedia("(max-width: 860px)").matches) pair.scrollIntoView({ behavior: "smooth" });
  };
  const show = (next, push) => {
    shown = next;
    state.doc = next.id;
    if (state.token !== null && state.token >= next[state.level].query.length) state.token = null;
    remember(push);
    drawHits();
    drawPair();
  };

  const drawHits = () => {
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...parts.hits(found.hits, state.doc, open));
    if (focused) list.querySelector("[aria-current]")?.focus();
  };

  const elsewhere = (view, unit) => Boolean(view.match) && !view.best[unit].length;
  const to = (number, label) =>
    el("button", { type: "button", class: "inline", on: { click: () => turn(number) } }, label);
  const drawPair = () => {
    const view = shown[state.level],
      room = pair.clientWidth;
    const rows = view.query.map((_, i) => i).filter((i) => state.added || !added(view.query[i]));
    const columns = view.document.map((_, i) => i).filter((i) => state.added || !added(view.document[i]));
    let seen; // a button in what is said stays under the finger that presses it
    const select = (unit) => {
      chips.select(unit, state.token);
      if (unit === seen) return;
      seen = unit;
      prose.select(unit);
      grid.select(unit);
      said.replaceChildren(
        ...(unit === null
          ? [
              "Tint: the share of the score that each part is the best match for. Point at a query token to see " +
                "its matches.",
            ]
          : [
              "Tint: similarity to ",
              el("b", { class: "mono" }, view.query[unit].text),
              elsewhere(view, unit) ? `. Its best match, ${view.match[unit]}, ` : ". Underlined: its best match.",
              elsewhere(view, unit) && view.home[unit] < 0 ? "stands for no place of the text." : "",
              elsewhere(view, unit) && view.home[unit] >= 0
                ? ["stands in ", to(view.home[unit], `passage ${view.home[unit] + 1}`), "."]
                : "",
            ].flat()),
      );
    };
    const pin = (unit) => {
      state.token = state.token === unit ? null : unit;
      remember();
      select(state.token);
    };
    const peek = (unit) => select(unit === null ? state.token : unit);
    const chips = parts.chips(view, rows, peek, pin),
      prose = parts.text(view, shown.read < shown.length && !shown.passages ? shown.read : null);
    const grid = parts.matrix(view, rows, columns, room, pin);
    const said = el("p", { class: "note", "aria-live": "polite" }),
      extra = el("div", { class: "extra" });
    const tool = (label, run) => el("button", { class: "tool", type: "button", on: { click: run } }, label);
    const steps = (from) => {
      const seen = (unit, at) => {
        state.step = at;
        remember();
        select(unit);
      };
      extra.replaceChildren(
        parts.steps(view, rows, from, seen, () => {
          state.step = null;
          remember();
          extra.replaceChildren();
          select(state.token);
        }),
      );
    };
    const tools = el(
      "div",
      { class: "tools row-tools" },
      levels(),
      addedSwitch(),
      tool("Step through", () => {
        steps(-1);
        extra.firstChild.focus();
      }),
      LIW.saved || !shown.text ? null : tool("Edit the text", () => editor(extra)),
      shown.edited ? tool("Back to the original", () => open(shown.id)) : null,
      setup.traced && !setup.traced.includes(state.q)
        ? null
        : el("a", { class: "tool", href: LIW.href("xray", { q: state.q, doc: shown.id }) }, "Trace through the index"),
    );
    const cut =
      shown.read < shown.length
        ? el(
            "p",
            { class: "note" },
            `The model read the first ${LIW.count(shown.read)} of ${LIW.count(shown.length)} characters; the ` +
              (shown.passages ? "rest cannot match." : "rest is struck through and cannot match."),
          )
        : null;
    pair.replaceChildren(
      el(
        "div",
        { class: "card" },
        el(
          "div",
          { class: "head top" },
          el(
            "div",
            {},
            el("h1", { class: "name" }, shown.title || shown.id),
            el(
              "p",
              { class: "note" },
              "Each query token finds its best match in the document; their similarities add up to the score.",
              found.caveat ? ` ${found.caveat}` : "",
            ),
          ),
          el("div", { class: "score", "aria-label": "score" }, fixed(shown.score, 3)),
        ),
        parts.place(shown, open, ask),
        el("p", { class: "note changed", role: "status" }),
        chips.node,
        parts.sum(view, shown.score),
        shown.passages ? parts.passages(shown.passages, shown.score, turn) : "",
        prose.node,
        said,
        cut,
        tools,
        extra,
      ),
      el(
        "div",
        { class: "card" },
        el("h2", {}, `Every query token against every token of the ${shown.passages ? "passage" : "document"}`),
        grid.node,
        el(
          "div",
          { class: "note tools" },
          el("span", { class: "legend" }, el("i", {}), "similarity, 0 to 1"),
          el("span", { class: "legend" }, el("u", {}), "best match of the row"),
        ),
        el(
          "details",
          { class: "as-table" },
          el("summary", {}, "The same as a table"),
          parts.table(view, shown.score, shown.id),
        ),
      ),
      shown.edited ? "" : parts.against({ hits: found.hits, shown, state, ask, remember }),
      shown.edited ? "" : parts.otherModel({ setup, shown, state, ask, remember }),
    );
    select(state.token !== null && rows.includes(state.token) ? state.token : null);
    if (state.step !== null) steps(state.step);
  };
  const levels = () =>
    el(
      "span",
      { class: "switch", role: "group", "aria-label": "Level" },
      [
        ["words", "Words"],
        ["pieces", "Word pieces"],
      ].map(([name, label]) =>
        el(
          "button",
          {
            type: "button",
            "aria-pressed": String(state.level === name),
            on: {
              click: () => {
                Object.assign(state, { level: name, token: null, step: null });
                remember();
                drawPair();
                pair.querySelector(".switch [aria-pressed=true]").focus();
              },
            },
          },
          label,
        ),
      ),
    );
  const addedSwitch = () => {
    const box = el("input", {
      type: "checkbox",
      on: {
        change: () => {
          state.added = box.checked;
          state.step = null;
          remember();
          drawPair();
          pair.querySelector(".check input").focus();
        },
      },
    });
    box.checked = state.added;
    return el("label", { class: "check" }, box, "Tokens that the model adds");
  };

  /* Another passage of what is shown. */
  const turn = (number) => {
    if (!shown.edited) return open(shown.id, number);
    state.passage = number;
    return rescore(pair, shown.edited);
  };
  const rescore = async (place, text) => {
    const answer = await call(place, ask.rescore({ ...wanted(shown.id), text }));
    if (!answer) return false;
    shown = { ...answer.pair, edited: text };
    state.step = null;
    drawPair();
    return true;
  };

  const editor = (place) => {
    const field = el("textarea", {
      class: "edit",
      maxlength: "20000",
      "aria-label": "Text of the document",
      value: shown.text,
    });
    const hit = found.hits.find((one) => one.id === shown.id);
    const run = async () => {
      const before = shown.score;
      if (!(await rescore(place, field.value))) return;
      const rank = 1 + found.hits.filter((one) => one.id !== shown.id && one.score > shown.score).length;
      const changed = pair.querySelector(".changed");
      if (found.caveat) {
        changed.append(`Edited: MaxSim went from ${fixed(before, 3)} to ${fixed(shown.score, 3)}.`);
        return;
      }
      changed.append(
        `Edited: the score went from ${fixed(before, 3)} to ${fixed(shown.score, 3)}`,
        hit ? ` (original ${fixed(hit.score, 3)})` : "",
        rank > found.hits.length - (hit ? 1 : 0)
          ? ", below the documents shown."
          : `, rank ${rank} among the documents shown.`,
      );
    };
    place.replaceChildren(
      field,
      el(
        "div",
        { class: "tools" },
        el("button", { class: "tool main", type: "button", on: { click: run } }, "Score this text"),
        el("span", { class: "note" }, "The collection stays as it is."),
      ),
    );
    field.focus();
  };

  const rank = menu(),
    chosen = parts.where(find(".where"), ask);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(state, FRESH, { q: input.value, where: chosen.value() });
    search(true);
  });
  if (setup.examples.length)
    examples.append(
      el("span", {}, "For example"),
      ...setup.examples.map((text) =>
        el(
          "button",
          {
            type: "button",
            class: "tool",
            on: {
              click: () => {
                Object.assign(state, FRESH, { q: text });
                search(true);
              },
            },
          },
          text,
        ),
      ),
    );
  examples.after(LIW.about(setup));
  LIW.roving(list, ".hit");
  if (LIW.saved) input.readOnly = true;
  LIW.page.complete = async () => {
    await ask.search({ question: state.q, document: state.doc, where: state.where });
    for (const hit of found ? found.hits : []) await ask.explain({ question: state.q, document: hit.id });
  };
  window.addEventListener("popstate", () => {
    recall();
    search(false);
  });
  recall();
  state.q = state.q || setup.examples[0] || "";
  if (state.q) search(false);
  else
    pair.replaceChildren(
      el(
        "div",
        { class: "card" },
        el("p", {}, "Ask a question to see which documents answer it, and which of their words match yours."),
      ),
    );
};
