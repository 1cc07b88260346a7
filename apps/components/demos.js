/* The figures of the lessons: each a function that draws into a place, with the parts that the other pages draw with. */
(() => {
  const { el, fixed, count } = LIW;
  const parts = LIW.parts;
  const WAIT = 400; // milliseconds after the last key

  /* Fields for a question and texts; run(question, texts) draws the answer when something changed. */
  const fields = (place, lesson, run) => {
    const question = el("input", {
      type: "text",
      class: "field grow",
      value: lesson.question,
      maxlength: "2000",
      "aria-label": "Question",
    });
    const texts = lesson.texts.map((text, i) =>
      el("textarea", {
        class: "edit small",
        maxlength: "20000",
        rows: text.length > 90 ? "3" : "2",
        "aria-label": lesson.texts.length > 1 ? `Text ${i + 1}` : "Text",
        value: text,
      }),
    );
    const result = el("div", { class: "shown" });
    let timer = null,
      ticket = 0;
    const now = async () => {
      const mine = ++ticket;
      result.setAttribute("aria-busy", "true");
      const answer = await run(question.value, texts.map((text) => text.value)); // prettier-ignore
      if (mine !== ticket) return;
      result.removeAttribute("aria-busy");
      if (answer.error) LIW.problem(result, answer.error);
      else result.replaceChildren(...[answer].flat());
    };
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(now, WAIT);
    };
    [question, ...texts].forEach((field) => field.addEventListener("input", later));
    place.replaceChildren(
      el("label", { class: "asking" }, el("span", {}, "Question"), question),
      ...texts.map((text, i) =>
        el("label", { class: "asking" }, el("span", {}, texts.length > 1 ? `Text ${i + 1}` : "Text"), text),
      ),
      result,
    );
    return now();
  };
  const compared = (ask, draw) => async (question, texts) => {
    const answer = await ask.compare({ question, texts });
    return answer.error ? answer : draw(answer.rows);
  };

  /* Chips, text and matrix of a pair that move together. */
  const paired = (pair, place, { matrix = true, rows = null, own = false } = {}) => {
    const view = pair.words;
    const shown = rows ?? view.query.map((_, i) => i);
    let pinned = null;
    const select = (unit) => {
      chips.select(unit, pinned);
      prose.select(unit);
      grid?.select(unit);
    };
    const pin = (unit) => select((pinned = pinned === unit ? null : unit));
    const chips = parts.chips(view, shown, (unit) => select(unit ?? pinned), pin),
      prose = parts.text(view, null);
    const columns = view.document.map((_, i) => i).filter((i) => !own || !LIW.added(view.document[i]));
    const grid = matrix ? parts.matrix(view, shown, columns, place.clientWidth - 40, pin) : null;
    select(null);
    return { nodes: [chips.node, prose.node, grid?.node].filter(Boolean), select, view, shown };
  };

  const table = (columns, rows, caption) => parts.listing(columns, rows, { caption });

  /* A menu that draws what is chosen. */
  const chooser = (label, options, draw) => {
    const body = el("div", { class: "shown" });
    const show = (i) => {
      body.replaceChildren(el("p", { class: "note", role: "status" }, "One moment")); // an index may have to be built
      draw(i, body);
    };
    const menu = el(
      "select",
      { "aria-label": label, on: { change: () => show(Number(menu.value)) } },
      options.map((text, i) => el("option", { value: String(i) }, text)),
    );
    show(0);
    return [el("label", { class: "asking" }, el("span", {}, label), menu), body];
  };

  const traced = (answer) => {
    if (answer.error) return [el("div", { class: "problem", role: "alert" }, answer.error)];
    const cells = answer.cells;
    const prose = cells
      ? el(
          "p",
          { class: "text", dir: "auto" },
          cells.segments.map((part) =>
            part.cell === null
              ? part.text
              : el(
                  "span",
                  {
                    class: part.probed ? "" : "unseen",
                    title: `centroid ${part.cell}, opened by ${part.probed} query tokens`,
                    style: { background: part.probed ? "rgba(var(--tint),calc(var(--strong) * .4))" : "" },
                  },
                  part.text,
                ),
          ),
        )
      : null;
    const told = cells
      ? `${cells.reached} of its ${cells.tokens} pieces lie in lists that were opened; they belong to ${cells.cells} centroids.`
      : "";
    return [
      el("p", { class: "lead" }, answer.verdict),
      parts.stages(answer),
      prose,
      told && el("p", { class: "note" }, told),
    ];
  };

  const KINDS = {
    text: "your words",
    special: "special tokens, such as [CLS]",
    prefix: "the model's prefix",
    expansion: "expansion",
    whole: "vectors of the whole text",
    merged: "merged",
  };

  LIW.demos = {
    words: ({ place, lesson, ask }) =>
      fields(
        place,
        lesson,
        compared(ask, ([row]) => {
          const own = row.pair.words.query.map((_, i) => i).filter((i) => !LIW.added(row.pair.words.query[i]));
          return paired(row.pair, place, { rows: own, own: true }).nodes;
        }),
      ),

    single: ({ place, lesson, ask }) =>
      fields(
        place,
        lesson,
        compared(ask, (rows) => {
          const rank = (name, row) => 1 + rows.filter((other) => other[name] > row[name]).length;
          const cell = (name, row, digits) => `${fixed(row[name], digits)}, rank ${rank(name, row)}`;
          const moved = rows.filter((row) => rank("single", row) !== rank("many", row)).length;
          return [
            table(
              [
                ["Text", ""],
                ["One vector (cosine)", "n"],
                ["All vectors (MaxSim)", "n"],
              ],
              rows.map((row, i) => [`Text ${i + 1}`, cell("single", row, 3), cell("many", row, 2)]),
              "The texts scored with one vector and with all",
            ),
            el("p", { class: "note" }, moved ? `${moved} of the texts change their rank.` : "Both rank them alike."),
          ];
        }),
      ),

    steps: ({ place, lesson, ask }) =>
      fields(
        place,
        lesson,
        compared(ask, ([row]) => {
          const { nodes, select, view, shown } = paired(row.pair, place, { matrix: false });
          const steps = parts.steps(view, shown, -1, select, () => select(null));
          return [...nodes, steps];
        }),
      ),

    added: ({ place, lesson, ask }) =>
      fields(
        place,
        lesson,
        compared(ask, ([row]) => {
          const view = row.pair.pieces,
            kinds = LIW.scores.byKind(view),
            whole = row.pair.score || 1;
          const { nodes } = paired({ words: view }, place, { matrix: false });
          return [
            ...nodes,
            parts.sum(view, row.pair.score),
            table(
              [
                ["Kind", ""],
                ["Pieces", "n"],
                ["Adds", "n"],
                ["Share", "n"],
              ],
              [...kinds].map(([kind, [sum, number]]) => [
                KINDS[kind],
                count(number),
                fixed(sum, 3),
                `${fixed((100 * sum) / whole, 0)}%`,
              ]),
              "What each kind of piece adds to the score",
            ),
          ];
        }),
      ),

    pooling: ({ place, ask, setup }) => {
      if (!setup.document) return LIW.problem(place, "This collection has no document to look at.");
      const state = { document: setup.document, factor: 2 };
      const body = el("div", { class: "shown" });
      const said = el("b", { class: "num" });
      const slider = el("input", {
        type: "range",
        min: 0,
        max: setup.factors.length - 1,
        step: 1,
        value: state.factor,
        "aria-label": "Pool factor",
        on: { input: () => ((state.factor = Number(slider.value)), draw()) },
      });
      const draw = async () => {
        const factor = setup.factors[state.factor];
        said.textContent = factor;
        slider.setAttribute("aria-valuetext", factor);
        const answer = await ask.merge({ document: state.document, factor, method: "hierarchical" });
        const choose = (name) => ((state.document = name), draw());
        body.replaceChildren(parts.merge({ answer, factor, document: state.document, ask, choose }));
      };
      place.replaceChildren(el("label", { class: "asking" }, el("span", {}, "Factor ", said), slider), body);
      return draw();
    },

    cells: ({ place, ask, setup }) => {
      if (!setup.examples.length) return LIW.problem(place, "This collection has no judged questions to follow.");
      place.replaceChildren(
        ...chooser("Question and text", setup.examples.map(({ question, document }) => `${question} (${document})`), async (i, body) =>
          body.replaceChildren(...traced(await ask.trace({ ...setup.examples[i], kind: setup.cells })).filter(Boolean)),
        ),
      ); // prettier-ignore
    },

    lost: async ({ place, ask, setup }) => {
      place.replaceChildren(el("p", { class: "note", role: "status" }, "Following the judged texts"));
      const report = await ask.lost({});
      if (report.error) return LIW.problem(place, report.error);
      const listed = report.lost.slice(0, 30);
      const head = el(
        "p",
        { class: "lead" },
        `Of ${count(report.relevant)} judged texts ${count(report.found)} are among the first ${report.k}; the index lost ` +
          `${count(report.by_index)}, the rest the model ranks lower.`,
      );
      if (!listed.length) return place.replaceChildren(head);
      const show = async (i, body) => {
        const { question, document } = listed[i];
        body.replaceChildren(...traced(await ask.trace({ question, document, kind: setup.lossy })).filter(Boolean));
      };
      const names = listed.map((entry) => `${entry.question} (${entry.document}), lost at ${entry.stage}`);
      return place.replaceChildren(head, ...chooser("A lost text", names, show));
    },

    pairs: async ({ place, ask }) => {
      place.replaceChildren(el("p", { class: "note", role: "status" }, "Asking the model about every pair"));
      const found = await ask.probe({});
      if (found.error) return LIW.problem(place, found.error);
      const rows = found.phenomena.map((entry) => [
        entry.name,
        `${entry.right} of ${entry.pairs}`,
        `${fixed(entry.low)} to ${fixed(entry.high)}`,
        `${fixed(100 * entry.margin, 1)}%`,
      ]);
      const columns = [
        ["Phenomenon", ""],
        ["Right both ways", "n"],
        ["95% interval of the share", "n"],
        ["Margin, of the score", "n"],
      ];
      const show = async (i, body) => {
        const { question, right, wrong } = found.pairs[i];
        const answer = await ask.compare({ question, texts: [right, wrong] });
        if (answer.error) return LIW.problem(body, answer.error);
        const [one, two] = answer.rows.map((row, at) => ({ ...row.pair, id: at ? "the other" : "the answer" }));
        return body.replaceChildren(
          el("p", {}, "Asked: ", el("b", {}, question)),
          table(
            [
              ["Text", ""],
              ["Score", "n"],
            ],
            [
              [right, fixed(one.score, 3)],
              [wrong, fixed(two.score, 3)],
            ],
            "Both texts and their scores",
          ),
          ...parts.versus(one.score >= two.score ? one : two, one.score >= two.score ? two : one, "words"),
        );
      };
      const names = found.pairs.map(
        (pair) => `${pair.phenomenon}: ${pair.question}${pair.right_in_all ? "" : ", not told apart"}`,
      );
      return place.replaceChildren(
        table(columns, rows, "Minimal pairs by phenomenon"),
        ...chooser("A pair", names, show),
      );
    },
  };
})();
