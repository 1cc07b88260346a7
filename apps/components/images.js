/* The page Images: a page tinted patch by patch, the best patch of each query token outlined. */
(() => {
  const { el, fixed, colour, added } = LIW;

  /* record: see page_record. Returns {node, select(unit or null)}. */
  const patchMap = (record, onRead) => {
    const { columns, rows } = record,
      canvas = el("canvas", { width: columns * 24, height: rows * 24, "aria-hidden": "true" });
    const picture = el("img", { src: record.image, alt: `The page for "${record.question}"` });
    const cursor = el("i", { class: "cursor", hidden: true });
    const box = el(
      "div",
      {
        class: "patches",
        tabindex: "0",
        role: "group",
        "aria-roledescription": "heatmap",
        "aria-label": `${rows} rows of ${columns} patches. Arrow keys read them; the table below holds the matches.`,
      },
      picture,
      canvas,
      cursor,
    );
    const won = LIW.scores.held(record.best, record.contribution, columns * rows);
    const most = Math.max(...won, 1e-9);
    const state = { unit: null, at: -1 };
    const value = (cell) => (state.unit === null ? won[cell] / most : record.similarity[state.unit][cell]);
    const draw = () => {
      const pen = canvas.getContext("2d"),
        tint = colour("tint"),
        all = state.unit === null ? null : record.similarity[state.unit];
      const low = all ? [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] : 0,
        high = all ? Math.max(...all) : 1;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      for (let cell = 0; cell < columns * rows; cell++) {
        const strength = Math.max(0, (value(cell) - low) / Math.max(high - low, 1e-6));
        pen.fillStyle = `rgba(${tint},${(0.72 * strength).toFixed(3)})`;
        pen.fillRect((cell % columns) * 24, Math.floor(cell / columns) * 24, 24, 24);
      }
      pen.lineWidth = 4;
      pen.strokeStyle = colour("accent2");
      (state.unit === null ? [] : record.best[state.unit]).forEach((cell) =>
        pen.strokeRect((cell % columns) * 24 + 1, Math.floor(cell / columns) * 24 + 1, 22, 22),
      );
    };
    const point = (cell) => {
      state.at = cell;
      cursor.hidden = cell < 0;
      Object.assign(cursor.style, {
        left: (100 * (cell % columns)) / columns + "%",
        top: (100 * Math.floor(cell / columns)) / rows + "%",
        width: 100 / columns + "%",
        height: 100 / rows + "%",
      });
      onRead(cell, state.unit, cell < 0 ? 0 : state.unit === null ? won[cell] : record.similarity[state.unit][cell]);
    };
    box.addEventListener("pointermove", (event) => {
      const area = picture.getBoundingClientRect();
      point(
        Math.min(rows - 1, Math.max(0, Math.floor((rows * (event.clientY - area.top)) / area.height))) * columns +
          Math.min(columns - 1, Math.max(0, Math.floor((columns * (event.clientX - area.left)) / area.width))),
      );
    });
    box.addEventListener("pointerleave", () => point(-1));
    box.addEventListener("keydown", (event) => {
      const at = Math.max(state.at, 0);
      const to = LIW.scores.moved(event.key, at % columns, Math.floor(at / columns), columns, rows);
      if (!to) return;
      event.preventDefault();
      point(to[1] * columns + to[0]);
    });
    const looks = new MutationObserver(() => (canvas.isConnected ? draw() : looks.disconnect()));
    looks.observe(document.body, { attributeFilter: ["class"] });
    return {
      node: box,
      select: (unit) => {
        state.unit = unit;
        draw();
      },
    };
  };

  LIW.pages.images = ({ element, ask, setup }) => {
    const find = (selector) => element.querySelector(selector),
      { address, parts } = LIW;
    const [form, question, doc, file, model, said, result] = [
      "form",
      ".question",
      ".document",
      "input[type=file]",
      ".model",
      ".progress",
      ".result",
    ].map(find);
    const from = address.read();
    let token = /^\d+$/.test(from.token || "") ? Number(from.token) : null,
      asked = 0;
    find(".formats").textContent =
      `${setup.formats.join(", ")}, at most ${setup.bytes / 1e6} MB, and a model that reads images`;
    file.accept = setup.formats.join(",");
    question.value = from.q || setup.question;
    doc.value = from.doc || setup.document;
    model.value = from.model || setup.image_model;
    if (from.source === "picture") find("input[value=picture]").checked = true;
    const source = () => find("input[name=source]:checked").value;
    const isPdf = () => Boolean(file.files[0]) && /\.pdf$/i.test(file.files[0].name);
    const arrange = () => {
      find(".of-printed").hidden = source() !== "printed";
      find(".of-picture").hidden = source() !== "picture";
      find(".of-pages").hidden = !isPdf();
    };
    const remember = () =>
      address.write({
        q: question.value,
        doc: source() === "printed" ? doc.value : "",
        source: source() === "picture" ? "picture" : "",
        model: source() === "picture" ? model.value : "",
        token,
      });

    const name = (record, cell) =>
      `row ${Math.floor(cell / record.columns) + 1}, column ${(cell % record.columns) + 1}`;
    const draw = (record) => {
      const shown = record.query.map((_, i) => i);
      if (token !== null && token >= shown.length) token = null;
      const readout = el("div", { class: "readout", "aria-live": "polite" });
      const hint = () => readout.replaceChildren("Point at a patch, or focus the page and use the arrow keys.");
      const map = patchMap(record, (cell, unit, value) =>
        cell < 0
          ? hint()
          : readout.replaceChildren(
              el("b", {}, name(record, cell)),
              unit === null
                ? `: best match for ${fixed(value, 3)} of the score`
                : [
                    ": similarity to ",
                    el("b", {}, record.query[unit].text),
                    " " + fixed(value, 3),
                    record.best[unit].includes(cell) ? ", its best match" : "",
                  ],
            ),
      );
      const note = el("p", { class: "note", "aria-live": "polite" });
      const select = (unit) => {
        chips.select(unit, token);
        map.select(unit);
        note.replaceChildren(
          ...(unit === null
            ? [
                "Tint: the share of the score that each patch is the best match for. Point at a query token to " +
                  "see its patches.",
              ]
            : [
                "Tint: similarity to ",
                el("b", { class: "mono" }, record.query[unit].text),
                ". Outlined: its best match.",
              ]),
        );
      };
      const chips = parts.chips(
        record,
        shown,
        (unit) => select(unit === null ? token : unit),
        (unit) => {
          token = token === unit ? null : unit;
          remember();
          select(token);
        },
      );
      hint();
      const table = parts.listing(
        [
          ["Query token", "mono"],
          ["Added by the model", ""],
          ["Best patch", ""],
          ["Contribution", "n"],
        ],
        shown.map((unit) => [
          record.query[unit].text,
          added(record.query[unit]) ? record.query[unit].kind : "",
          record.best[unit].map((cell) => name(record, cell)).join("; "),
          fixed(record.contribution[unit], 4),
        ]),
        { foot: ["Sum, the score", fixed(record.score, 4)] },
      );
      result.replaceChildren(
        el(
          "div",
          { class: "card" },
          el(
            "div",
            { class: "head top" },
            el(
              "div",
              {},
              el("h2", {}, `${record.columns} by ${record.rows} patches, model ${record.model}`),
              record.pages > 1 ? el("p", { class: "note" }, `Page ${record.page} of ${record.pages}`) : "",
            ),
            el("div", { class: "score", "aria-label": "score" }, fixed(record.score, 3)),
          ),
          chips.node,
          parts.sum(record, record.score),
          note,
          map.node,
          readout,
          el("details", { class: "as-table" }, el("summary", {}, "The same as a table"), table),
        ),
      );
      select(token);
    };
    const run = async () => {
      remember();
      const ticket = ++asked,
        chosen = file.files[0];
      said.textContent = source() === "picture" ? "Loading the model and cutting the picture" : "";
      if (source() === "picture" && chosen && chosen.size > setup.bytes) {
        said.textContent = "";
        LIW.problem(result, `This file is larger than ${setup.bytes / 1e6} MB: save it smaller.`);
        return;
      }
      const answer =
        source() === "printed"
          ? await ask.printed({ question: question.value, document: doc.value.trim() })
          : await ask.picture({
              question: question.value,
              model: model.value.trim(),
              image: chosen ? (await LIW.sent(chosen)).data : "",
              page: Number(find(".page-number").value) || 1,
            });
      if (ticket !== asked) return;
      said.textContent = "";
      if (answer.error) LIW.problem(result, answer.error);
      else draw(answer);
    };
    form.addEventListener("change", (event) => {
      if (event.target.name === "source") {
        arrange();
        remember();
        result.replaceChildren();
        if (source() === "printed") run();
      }
      if (event.target === file) arrange();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = null;
      run();
    });
    arrange();
    if (source() === "printed") run();
  };
})();
