/* The page Train: checks and a preflight, live curves, the pinned matrix as it changes, questions better and worse. */
LIW.pages.train = ({ element, props, ask, send, watch, setup }) => {
  const { el, fixed, signed, count, parts, address, bytes, duration } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [form, file, stop, said, meter] = ["form", "input[type=file]", ".stop", ".progress", ".meter"].map(find);
  const starts = [...element.querySelectorAll(".start")];
  let job = props.value?.job || { status: "empty" },
    seen = null,
    busy = false;

  find(".intro").textContent =
    `A model learns from questions and the texts that answer them${setup.questions ? ", and is measured before and after on judged questions that it has not seen" : ""}. ` +
    `It trains on this machine, next to the other pages; the model of ${setup.collection} stays as it is.`;
  find(".judged").textContent =
    setup.questions >= 5
      ? `${count(setup.questions)} questions of ${setup.collection}: two of five are kept apart to measure with`
      : `${setup.collection} has fewer than five`;
  const first = Object.values(setup.first)[0].source;
  find(".of-questions").hidden = find("input[value=questions]").disabled = !setup.training;
  find(".training").textContent =
    `${count(setup.training)} written for it, each with the text that answers; the judged questions, which share no ` +
    "answer with them, measure";
  find(`input[value=${first}]`).checked = true;
  if (setup.questions < 5) {
    find("input[value=judgements]").disabled = true;
  }
  setup.bases.forEach(({ name, label }) => find(".base").append(el("option", { value: name }, label)));
  setup.losses.forEach(({ name, about }) => find(".loss").append(el("option", { value: name }, about)));
  setup.scorers.forEach(({ name, about }) =>
    find(".scorer").append(el("option", { value: name }, `${name}: ${about}`)),
  );
  file.accept = setup.types.join(",");
  find(".document").value = setup.document;
  if (setup.missing) {
    LIW.problem(find(".missing"), setup.missing);
    starts.forEach((button) => (button.disabled = true));
  }
  const FIELDS = {
    way: ".way",
    base: ".base",
    loss: ".loss",
    scorer: ".scorer",
    steps: ".steps-of",
    batch: ".batch",
    rate: ".rate",
    every: ".every",
    factors: ".factors",
    seed: ".seed",
  };
  const begun = () => {
    const first = setup.first[find(".way").value];
    for (const key of ["steps", "batch", "rate", "every"]) find(FIELDS[key]).value = first[key];
  };
  const from = address.read();
  if (setup.first[from.way]) find(".way").value = from.way;
  begun();
  const usual = Object.fromEntries(Object.entries(FIELDS).map(([key, selector]) => [key, find(selector).value]));
  for (const [key, selector] of Object.entries(FIELDS)) if (from[key]) find(selector).value = from[key];
  const wanted = [...element.querySelectorAll("input[name=source]")].find(({ value }) => value === from.source);
  if (wanted && !wanted.disabled) wanted.checked = true;
  const source = () => find("input[name=source]:checked").value;
  const values = () =>
    Object.fromEntries(Object.entries(FIELDS).map(([key, selector]) => [key, find(selector).value.trim()]));
  const arrange = () => {
    find(".of-file").hidden = source() !== "file";
    address.write({
      source: source() === first ? "" : source(),
      ...Object.fromEntries(Object.entries(values()).map(([key, value]) => [key, value === usual[key] ? "" : value])),
    });
  };

  const fact = (value, name) => el("div", {}, el("b", {}, value), el("span", { class: "note" }, name));
  const COUNTS = {
    rows: "rows read",
    kept: "kept",
    empty: "with an empty text",
    duplicate: "twice",
    over_long: "longer than what training reads, and cut",
    several_positives: "with several answers, one row for each",
    contradicting: "negatives that are answers elsewhere, left out",
    without_positive: "of questions without an answer",
    replaced: "with damaged letters, replaced",
    leaking: "left out: they hold a question or answer that is measured with",
  };

  const drawChecked = ({ name, kind, counts, rows, steps, preflight }) =>
    el(
      "div",
      { class: "card" },
      el(
        "p",
        { class: "lead" },
        el("b", {}, count(rows)),
        ` rows of ${kind} from ${name} are ready. `,
        el("b", {}, `${count(steps)} steps`),
        ` will take about `,
        el("b", {}, duration(preflight.seconds)),
        " and ",
        el("b", {}, bytes(preflight.graph_bytes)),
        " beside the model; measuring comes on top.",
      ),
      el(
        "dl",
        { class: "facts" },
        Object.keys(COUNTS)
          .filter((key) => key in counts)
          .map((key) => [el("dt", {}, COUNTS[key]), el("dd", { class: "num" }, count(counts[key]))]),
        counts.kept > rows
          ? [el("dt", {}, "set apart, to choose the step"), el("dd", { class: "num" }, count(counts.kept - rows))]
          : null,
        el("dt", {}, "one step"),
        el(
          "dd",
          {},
          `${count(preflight.tokens_per_step)} tokens in ${fixed(preflight.seconds_per_step, 2)} s, ` +
            `${count(preflight.mini_batch_tokens)} at a time`,
        ),
      ),
    );

  const plot = parts.plot(),
    pooled = parts.plot();
  const drawRun = (told) => {
    if (!told || (!told.losses.length && !told.scores.length)) return [];
    const end = told.started?.steps || 1,
      last = told.losses[told.losses.length - 1],
      scores = told.scores;
    plot.show(told.figure, "Loss and nDCG@10 over the steps");
    return [
      el(
        "div",
        { class: "card" },
        el(
          "div",
          { class: "facts-row" },
          last ? fact(`${count(last[0])} of ${count(end)}`, "steps") : null,
          last ? fact(fixed(last[1], 3), "loss of the last batch") : null,
          scores.length
            ? fact(
                fixed(scores[scores.length - 1].ndcg, 3),
                `nDCG@10, latest${told.apart ? ", of questions set apart" : ""}`,
              )
            : null,
          told.now.tokens ? fact(count(Math.round(told.now.tokens)), "tokens a second") : null,
          told.now.memory ? fact(bytes(told.now.memory), "memory of the process") : null,
        ),
        told.figure ? plot.node : null,
      ),
    ];
  };

  const drawPinned = (told) => {
    if (!told?.maps.length) return [];
    const at = seen === null || seen >= told.maps.length ? told.maps.length - 1 : seen,
      map = told.maps[at],
      first = told.maps[0];
    const rows = map.view.query.map((_, i) => i),
      columns = map.view.document.map((_, i) => i);
    const slider = el("input", {
      type: "range",
      min: 0,
      max: told.maps.length - 1,
      step: 1,
      value: at,
      "aria-label": "Step of the matrix",
      "aria-valuetext": `step ${map.step}`,
    });
    slider.addEventListener("input", () => {
      seen = Number(slider.value) === told.maps.length - 1 ? null : Number(slider.value);
      find(".pinned").replaceChildren(...drawPinned(told));
      find(".pinned input").focus();
    });
    return [
      el(
        "div",
        { class: "card" },
        el("h2", {}, `How the model sees "${told.question}"`),
        told.maps.length > 1
          ? el(
              "label",
              { class: "stack" },
              `Step ${map.step}: score ${fixed(map.score, 3)}` +
                (map === first ? "" : `, ${signed(map.score - first.score, 3)} since step ${first.step}`),
              slider,
            )
          : null,
        parts.matrix(map.view, rows, columns, element.clientWidth - 60, () => {}).node,
      ),
    ];
  };

  const list = (heading, entries, all, model) => {
    const entry = (item) => ({
      text: item.text,
      href: LIW.href("", { q: item.text, doc: item.document, model }),
      title: "See it with both models",
      change: `${fixed(item.before)} to ${fixed(item.after)}`,
      note: `answered by ${item.document}`,
    });
    return parts.moved(heading, entries.map(entry), all);
  };
  const drawReport = (report) => {
    if (report.curves) pooled.show(report.curves, "What pooling costs before and after");
    const { before, after, measured, model } = report,
      difference = after ? after.ndcg - before.ndcg : 0;
    const use = el(
      "div",
      { class: "tools" },
      el("a", { class: "tool main", href: LIW.href("own", { source: "open", model }) }, "Use it in the other pages"),
      el("a", { class: "tool", href: LIW.href("", { model }) }, "Compare it on one pair"),
      el("span", { class: "note mono" }, model),
    );
    return [
      el(
        "div",
        { class: "card" },
        el(
          "p",
          { class: "lead" },
          report.reason === "stopped" ? "Stopped" : "Done",
          ` after ${count(report.steps)} steps and ${duration(report.seconds)}. `,
          after
            ? [
                "nDCG@10 went from ",
                el("b", {}, fixed(before.ndcg, 3)),
                " to ",
                el("b", {}, fixed(after.ndcg, 3)),
                ` (${signed(difference, 3)}, p ${report.p < 0.001 ? "below .001" : fixed(report.p, 3)}): `,
                el("b", {}, `${LIW.questions(report.n_better)} better, ${report.n_worse} worse`),
                `, ${report.n_same} as before.`,
              ]
            : "Nothing was judged, so nothing was measured.",
        ),
        report.chosen
          ? el(
              "p",
              {},
              report.kept
                ? `The weights are those of step ${count(report.kept)}, the best of ${report.chosen} that were measured on `
                : `No step was better than the start, so the weights are as they were, measured ${report.chosen} times on `,
              `questions set apart for that (${report.chosen_on}).`,
            )
          : null,
        measured
          ? el(
              "p",
              { class: "note" },
              `Measured on ${measured.name}: ${measured.questions} questions among ${count(measured.documents)} ` +
                `documents, which is easier than the whole; kept as the runs ${before.run} and ${after.run}, which `,
              el("span", { class: "mono" }, "workbench runs"),
              " lists and ",
              el("span", { class: "mono" }, "workbench dashboard"),
              " compares.",
            )
          : null,
        use,
      ),
      report.curves
        ? el("div", { class: "card" }, el("h2", {}, "What pooling costs before and after"), pooled.node)
        : null,
      after
        ? el(
            "div",
            { class: "two" },
            list(`${LIW.questions(report.n_worse)} got worse`, report.worse, report.n_worse, model),
            list(`${LIW.questions(report.n_better)} got better`, report.better, report.n_better, model),
          )
        : null,
    ].filter(Boolean);
  };

  /* Merging is about the last model that was trained, and leaves its report where it is. */
  const between = parts.between({
    send: (event, data) => {
      if (event === "train") between.tell("Waiting for the machine");
      send(event, data);
    },
    keep: ask.keep,
  });
  find(".between-ends").append(between.node);
  const take = (told) => {
    if (told.merged) between.show(told.merged);
    else if (told.merging) between.tell(told.step, told.error);
    else {
      job = told;
      between.of(job.report?.after ? job.report.model : "");
      draw();
    }
  };

  const draw = () => {
    const running = job.status === "running",
      told = job.told,
      end = told?.started?.steps;
    starts.forEach((button) => (button.disabled = running || Boolean(setup.missing)));
    stop.hidden = !running || !told;
    meter.hidden = !running || !end;
    if (end)
      meter.firstElementChild.style.width =
        (100 * (told.losses.length ? told.losses[told.losses.length - 1][0] : 0)) / end + "%";
    said.textContent = running ? job.step : "";
    if (job.error) LIW.problem(find(".result"), job.error);
    else
      find(".result").replaceChildren(
        ...(job.checked ? [drawChecked(job.checked)] : job.report ? drawReport(job.report) : []),
      );
    find(".run").replaceChildren(...drawRun(told));
    if (!find(".pinned").contains(document.activeElement)) find(".pinned").replaceChildren(...drawPinned(told));
  };
  const begin = async (rehearse) => {
    if (busy) return;
    busy = true;
    job = { status: "running", step: "Waiting for the machine" };
    seen = null;
    draw();
    const chosen = source() === "file" ? file.files[0] : undefined;
    send("train", {
      ...values(),
      rehearse,
      source: source(),
      file: chosen ? await LIW.sent(chosen) : null,
      name: find(".name-of").value,
      question: find(".follow").value,
      document: find(".document").value.trim(),
    });
    busy = false;
  };
  find(".way").addEventListener("change", begun);
  form.addEventListener("change", arrange);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin(false);
  });
  find(".check-data").addEventListener("click", () => begin(true));
  stop.addEventListener("click", () => {
    send("halt");
    said.textContent = "Stopping; the model of this step is kept";
  });
  watch("value", () => take(props.value.job));
  arrange();
  take(job);
};
