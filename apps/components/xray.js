/* The page X-ray: the stages that a document passes through, and the error map of a collection. */
LIW.pages.xray = ({ element, props, ask, send, watch, setup }) => {
  const { el, fixed, count, address } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [question, doc, kind, way, start, stop, said] = [
    ".question",
    ".document",
    ".kind",
    ".way",
    ".start",
    ".stop",
    ".progress",
  ].map(find);
  const from = address.read();
  let survey = props.value?.survey || { status: "empty", step: "", error: "", report: null },
    pending = false,
    asked = 0;
  setup.kinds.forEach((name) => kind.append(el("option", { value: name }, name)));
  question.value = from.q || setup.question;
  doc.value = from.doc || setup.document;
  if (from.kind && !setup.kinds.includes(from.kind)) kind.append(el("option", { value: from.kind }, from.kind));
  if (from.kind) kind.value = from.kind;

  const cells = (record) => {
    if (!record.cells) return [];
    const most = Math.max(1, ...record.cells.segments.map((part) => part.probed));
    return [
      el("h2", { style: { "margin-top": "18px" } }, "Which of its tokens the search looked at"),
      el(
        "p",
        { class: "text", dir: "auto" },
        record.cells.segments.map((part) =>
          part.cell === null
            ? part.text
            : el(
                "span",
                {
                  class: part.probed ? "" : "unseen",
                  title: `centroid ${part.cell}, opened by ${part.probed} query tokens`,
                  style: {
                    background: part.probed
                      ? `rgba(var(--tint),calc(var(--strong) * ${(0.15 + (0.55 * part.probed) / most).toFixed(2)}))`
                      : "",
                  },
                },
                part.text,
              ),
        ),
      ),
      el(
        "p",
        { class: "note" },
        `${record.cells.reached} of ${record.cells.tokens} tokens lie in lists that were opened. The stronger ` +
          "the tint, the more query tokens opened the list of that token.",
      ),
    ];
  };
  const trace = async () => {
    const ticket = ++asked;
    address.write({ q: question.value, doc: doc.value, kind: kind.value === setup.kinds[0] ? "" : kind.value });
    element.setAttribute("aria-busy", "true");
    const answer = await ask.trace({ question: question.value, document: doc.value.trim(), kind: kind.value });
    if (ticket !== asked) return;
    element.removeAttribute("aria-busy");
    if (answer.error) {
      way.replaceChildren(el("div", { class: "problem card", role: "alert" }, answer.error));
      return;
    }
    const ranks = [
      ["by this index", answer.rank === null ? "not found" : count(answer.rank)],
      ["exact, stored vectors", count(answer.stored_rank)],
      ...(answer.original_rank === null ? [] : [["exact, original vectors", count(answer.original_rank)]]),
    ];
    way.replaceChildren(
      el(
        "div",
        { class: "card" },
        el("p", { class: "lead", "aria-live": "polite" }, answer.verdict),
        el(
          "div",
          { class: "ranks" },
          ranks.map(([name, value]) =>
            el("div", {}, el("b", { class: "num" }, value), el("span", { class: "note" }, "rank " + name)),
          ),
        ),
        LIW.parts.stages(answer),
        ...cells(answer),
        ...answer.notes.map((note) => el("p", { class: "note" }, note)),
        el(
          "p",
          { class: "note" },
          el("a", { href: LIW.href("", { q: question.value, doc: doc.value }) }, "See which words match"),
        ),
      ),
    );
  };

  const draw = () => {
    const running = survey.status === "running" || pending;
    start.disabled = running || !setup.questions;
    stop.hidden = !running;
    said.textContent = pending
      ? "Waiting for the machine"
      : running
        ? survey.step
        : !setup.questions
          ? `${setup.collection} has no judgements, so nothing can be lost.`
          : survey.status === "stopped"
            ? "Stopped; counted so far:"
            : survey.status === "empty"
              ? `${setup.questions} questions, the first ${setup.k} results of each`
              : "";
    const report = survey.report,
      place = find(".survey");
    if (survey.error) place.replaceChildren(el("div", { class: "problem", role: "alert" }, survey.error));
    if (!report) return;
    const go = (entry) => {
      question.value = entry.question;
      doc.value = entry.document;
      trace();
      way.scrollIntoView({ behavior: "smooth", block: "start" });
    };
    place.replaceChildren(
      el(
        "p",
        { class: "lead", style: { "margin-top": "12px" } },
        `Of ${count(report.relevant)} relevant documents `,
        el("b", {}, count(report.found)),
        ` are among the first ${report.k}. The index lost `,
        el("b", {}, count(report.by_index)),
        " that exact search returns; the rest the model ranks lower.",
      ),
      LIW.parts.listing(
        [
          ["Lost at", ""],
          ["Documents", "n"],
          ["Share", "n"],
          ["Questions", "n"],
          ["What wins them back", ""],
        ],
        report.costs.map((cost) => [
          cost.stage,
          count(cost.lost),
          fixed(100 * cost.share, 1) + "%",
          count(cost.queries),
          cost.remedy,
        ]),
      ),
      el(
        "details",
        { style: { "margin-top": "14px" } },
        el("summary", {}, "The lost documents"),
        el(
          "ol",
          { class: "asked" },
          report.lost.map((entry) =>
            el(
              "li",
              {},
              el("button", { type: "button", class: "plainlink", on: { click: () => go(entry) } }, entry.question),
              el("span", { class: "num" }, `exact rank ${count(entry.rank_exact)}`),
              el("small", {}, `${entry.document}, lost at ${entry.stage}`),
            ),
          ),
        ),
      ),
    );
  };

  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    trace();
  });
  kind.addEventListener("change", () => {
    survey = { status: "empty", step: "", error: "", report: null };
    find(".survey").replaceChildren();
    trace();
    draw();
  });
  start.addEventListener("click", () => {
    pending = true;
    draw();
    send("survey", { kind: kind.value });
  });
  stop.addEventListener("click", () => {
    send("halt", {});
    said.textContent = "Stopping";
  });
  watch("value", () => {
    pending = false;
    survey = props.value.survey;
    draw();
  });
  draw();
  if (question.value) trace();
};
