/* Factor, dimensions and bits under a budget: measured points, the line that a person draws, and the best below it. */
(() => {
  const { el, fixed, signed, count, bytes } = LIW;
  const UNITS = { each: "bytes a document", all: "MB in all" };

  /*
   * offered: of Python's `start`; measure(request) and halt() start and stop; changed(point) is told of the point that
   * the sliders are at; state and remember keep the address.
   */
  LIW.parts.explorer = ({ offered, setup, measure, halt, changed, state, remember, kept }) => {
    let grid = offered.explored;
    const budgets = el("input", {
      type: "text",
      class: "field mono",
      value: offered.budgets,
      "aria-label": "Budgets beside the factors",
    });
    const against = el(
      "select",
      { "aria-label": "Compare with a model" },
      el("option", { value: "" }, "no other model"),
      offered.models.map(({ name, label }) => el("option", { value: name }, label)),
    );
    const start = el("button", { type: "button", class: "tool main start-grid" }, "Explore");
    const stop = el("button", { type: "button", class: "tool stop-grid", hidden: true }, "Stop");
    const said = el("span", { class: "note grid-progress", role: "status" });
    const meter = el("div", { class: "meter", hidden: true }, el("i"));
    const result = el("div", { class: "grid" });
    const asked = () => ({ explore: true, pools: budgets.value.trim(), against: against.value });

    const points = () => grid.points;
    const models = () => [...new Set(points().map((point) => point.model))];
    const row = (name) => [...new Set(points().map((point) => point[name]))];
    const rows = () => ({
      dim: row("dim").sort((a, b) => a - b),
      pool: row("pool"),
      bits: row("bits").sort((a, b) => b - a),
    });
    const at = (model, place) =>
      points().find(
        (point) => point.model === model && Object.keys(place).every((name) => point[name] === place[name]),
      );

    /* The budget in bytes, and the best measured point of each model that fits: as Python's `best_under`. */
    const documents = () => points()[0]?.documents || 1;
    const most = () => Number(state.budget) || null;
    const best = (model) =>
      points()
        .filter((point) => point.model === model && point.bytes <= most())
        .sort((a, b) => b.mean - a.mean || a.bytes - b.bytes)[0];
    const place = () => {
      const known = rows(),
        found = {};
      for (const name of ["dim", "pool", "bits"]) {
        const wanted = known[name].find((value) => String(value) === String(state[name] ?? ""));
        found[name] = wanted ?? (name === "dim" ? known.dim.at(-1) : known[name][0]);
      }
      return found;
    };
    const chosen = () => at(models()[0], place());

    /* Marks over the figure: the line of the budget, rings around the best and around the point of the sliders. */
    const ring = (list, colour, size) => ({
      type: "scatter",
      mode: "markers",
      x: list.map((point) => point.bytes / 1e6),
      y: list.map((point) => point.mean),
      hoverinfo: "skip",
      showlegend: false,
      marker: { symbol: "circle-open", size, color: colour, line: { width: 3 } },
    });
    const marked = (figure) => {
      const budget = most(),
        data = [...figure.data],
        shapes = [...(figure.layout.shapes ?? [])];
      const here = chosen();
      if (here) data.push(ring([here], LIW.colour("ink"), 13));
      if (budget) {
        const line = { color: LIW.colour("accent2"), width: 2, dash: "dash" };
        shapes.push({ type: "line", x0: budget / 1e6, x1: budget / 1e6, y0: 0, y1: 1, yref: "paper", line });
        data.push(ring(models().map(best).filter(Boolean), LIW.colour("accent2"), 18));
      }
      return { ...figure, data, layout: { ...figure.layout, shapes } };
    };

    const line = el("input", { type: "range", step: "any", class: "budget-line", "aria-label": "Line of the budget" });
    const amount = el("input", {
      type: "number",
      min: 0,
      step: "any",
      class: "field amount",
      "aria-label": "Amount of the budget",
    });
    const unit = el(
      "select",
      { "aria-label": "Unit of the budget" },
      Object.entries(UNITS).map(([value, text]) => el("option", { value }, text)),
    );
    const scale = () => (unit.value === "each" ? documents() : 1e6);
    const show = () => {
      if (document.activeElement !== amount)
        amount.value = most() ? String(Number((most() / scale()).toPrecision(3))) : "";
      if (most()) line.value = String(Math.log10(most() / 1e6));
      line.setAttribute("aria-valuetext", most() ? `${bytes(most())} in all` : "none");
    };
    const draws = (value) => {
      state.budget = value ? Math.round(value) : "";
      remember();
      draw();
    };
    line.addEventListener("input", () => draws(10 ** Number(line.value) * 1e6));
    amount.addEventListener("input", () => draws(Number(amount.value) * scale()));
    unit.addEventListener("change", show);
    const align = (place) => {
      const { l, w } = place._fullLayout._size,
        [low, high] = place._fullLayout.xaxis.range;
      Object.assign(line, { min: low, max: high });
      Object.assign(line.style, { marginLeft: `${l - 8}px`, width: `${w + 16}px` });
      show();
    };
    const plot = LIW.parts.plot({
      change: marked,
      onDrawn: align,
      onPoint: (key) => {
        const point = points().find((one) => one.key === key);
        if (point) move(point);
      },
      below: el("label", { class: "at-factor" }, el("span", { class: "hidden" }, "Draw the line of the budget"), line),
    });

    const move = (values) => {
      for (const name of ["dim", "pool", "bits"]) if (name in values) state[name] = values[name];
      remember();
      draw();
      changed(chosen());
    };
    const slider = (name, title, text, note) => {
      const values = rows()[name],
        now = values.indexOf(place()[name]);
      const input = el("input", {
        type: "range",
        min: 0,
        max: values.length - 1,
        step: 1,
        value: now,
        class: `at-${name}`,
        "aria-label": title,
        "aria-valuetext": text(values[now]),
      });
      input.addEventListener("input", () => {
        move({ [name]: values[Number(input.value)] });
        result.querySelector(`.at-${name}`)?.focus();
      });
      return el(
        "label",
        { class: "slide" },
        el("span", {}, title, " ", el("b", {}, text(values[now]))),
        input,
        note ? el("small", { class: "note" }, note) : null,
      );
    };

    const difference = (point) => {
      const [mean, low, high] = point.difference;
      return `${signed(mean, 3)} to all vectors (${signed(low, 3)} to ${signed(high, 3)})`;
    };
    const told = (point) => [
      el("b", {}, point.name),
      `: ${point.metric.replace("ndcg", "nDCG")} ${fixed(point.mean, 3)}, ${difference(point)}, ` +
        `${count(Math.round(point.each))} bytes a document, ${bytes(point.bytes)}.`,
    ];
    const under = () =>
      models().map((model) => {
        const point = best(model),
          name = models().length > 1 ? `${model}: ` : "";
        return point
          ? el("p", { class: "lead best" }, name, "best measured under the line is ", told(point))
          : el("p", { class: "lead best" }, name, "nothing that was measured fits under the line.");
      });
    const table = () =>
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "plain" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              [
                "Model",
                "Factor or budget",
                "Dimensions",
                "Bits",
                "Bytes a document",
                "MB",
                points()[0].metric,
                "to all",
              ].map((head, i) => el("th", { scope: "col", class: i > 1 ? "n" : "" }, head)),
            ),
          ),
          el(
            "tbody",
            {},
            [...points()]
              .sort((a, b) => a.bytes - b.bytes)
              .map((p) =>
                el(
                  "tr",
                  {},
                  el("th", { scope: "row" }, p.model),
                  el("td", {}, p.pool),
                  [p.dim, p.bits, count(Math.round(p.each)), fixed(p.bytes / 1e6, 2), fixed(p.mean, 4)].map((cell) =>
                    el("td", { class: "n" }, String(cell)),
                  ),
                  el("td", { class: "n" }, difference(p).replace(" to all vectors", "")),
                ),
              ),
          ),
        ),
      );

    const status = () => {
      const { status: now, done, total, next } = grid,
        running = now === "running";
      start.disabled = running;
      stop.hidden = !running;
      meter.hidden = !running;
      /** @type {any} */ (meter.firstElementChild).style.width = (100 * done) / Math.max(total, 1) + "%";
      if (running)
        said.textContent = next ? `${done} of ${total} points, measuring ${next}` : "Waiting for the machine";
      else if (now === "stopped")
        said.textContent = `Stopped after ${done} of ${total} points; what is finished stays.`;
      else if (now === "done") said.textContent = `${done} points measured in ${Math.round(grid.seconds)} s.`;
      else if (points().length) said.textContent = `${done} points measured.`;
      else said.textContent = setup.questions ? "Nothing measured yet. The ends of every row come first." : "";
    };

    const draw = () => {
      status();
      if (grid.error) {
        LIW.problem(result, grid.error);
        if (!points().length) return;
      }
      if (!points().length) {
        result.replaceChildren();
        return;
      }
      plot.show(grid.figure, "Quality over bytes of every measured point; the table below holds the numbers");
      const open = result.querySelector("details")?.open,
        here = chosen();
      const other = models()
        .slice(1)
        .map((model) => at(model, place()))
        .filter(Boolean);
      show();
      result.replaceChildren(
        ...(grid.error ? [el("div", { class: "problem", role: "alert" }, grid.error)] : []),
        plot.node,
        el(
          "div",
          { class: "tools" },
          el("label", { class: "check" }, "Budget ", amount),
          unit,
          most() ? null : el("span", { class: "note" }, "Drag the slider under the figure, or type a budget."),
        ),
        ...(most() ? under() : []),
        el(
          "div",
          { class: "sliders" },
          slider(
            "dim",
            "Dimensions",
            String,
            offered.nested ? "" : `${setup.model} was not trained for fewer of them.`,
          ),
          slider("pool", "Factor or budget", (value) => (/^[\d.]+$/.test(value) ? `factor ${value}` : value), ""),
          slider("bits", "Bits", (value) => `${value}${value === 16 ? ", exact search" : ", PLAID"}`, ""),
        ),
        el(
          "p",
          { class: "here", "aria-live": "polite" },
          here ? told(here) : "This combination was not measured yet.",
          other.map((point) => [el("br"), `${point.model}, `, told(point)]),
        ),
        el("details", { open }, el("summary", {}, "All points as a table"), table()),
      );
    };

    start.addEventListener("click", () => {
      state.pools = budgets.value.trim() === offered.budgets ? "" : budgets.value.trim();
      state.against = against.value;
      remember();
      grid = { ...grid, status: "running", done: 0, total: 1, next: "", points: [], figure: "", error: "" };
      draw();
      measure(asked());
    });
    stop.addEventListener("click", () => {
      halt();
      said.textContent = "Stopping after the point at hand";
    });
    [budgets, against].forEach((field) =>
      field.addEventListener("change", async () => {
        const found = await kept(asked());
        state.pools = budgets.value.trim() === offered.budgets ? "" : budgets.value.trim();
        state.against = against.value;
        remember();
        if (found.points?.length) {
          grid = found;
          draw();
        }
      }),
    );
    const dims = offered.dims.join(", ");
    const node = el(
      "div",
      { class: "card explorer" },
      el("h2", {}, "Fewer, shorter or coarser: what is best under a budget"),
      el(
        "p",
        { class: "soft intro" },
        `Factors 1, 2, 4 and 8 and budgets, each with ${dims} dimensions, in 16 bits and in 4, 2 and 1 bits (PLAID). ` +
          (offered.nested
            ? "The model was trained for these dimensions."
            : `${setup.model} was not trained for fewer dimensions than ${offered.dims.at(-1)}: expect them to be poor.`),
      ),
      el(
        "div",
        { class: "tools" },
        el("label", { class: "check grow" }, "Budgets too ", budgets),
        offered.models.length ? el("label", { class: "check" }, "beside ", against) : null,
        start,
        stop,
        said,
      ),
      meter,
      result,
    );
    if (state.pools) budgets.value = state.pools;
    if (state.against) against.value = state.against;
    draw();
    if (!points().length && (state.pools || state.against)) budgets.dispatchEvent(new Event("change"));
    return {
      node,
      chosen,
      show: (found) => {
        grid = found;
        draw();
      },
    };
  };
})();
