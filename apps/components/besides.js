/* Two systems side by side: the questions that each wins, and the reasons for one of them. */
(() => {
  const { el, fixed, signed, count, address, parts } = LIW;

  /* Words of the question, and what each adds, as bars on one scale. */
  const words = (stages, most) =>
    stages.map(({ stage, words }) =>
      el(
        "div",
        { class: "word-bars" },
        el(
          "p",
          { class: "note" },
          words.length ? `What each word adds in ${stage}` : `No word of the question counts in ${stage}.`,
        ),
        el(
          "ul",
          {},
          words.map(([word, value]) =>
            el(
              "li",
              {},
              el("span", { class: "mono", dir: "auto" }, word),
              el("i", { "aria-hidden": "true", style: { width: `${Math.max(2, (100 * value) / most)}%` } }),
              el("span", { class: "num" }, fixed(value, 2)),
            ),
          ),
        ),
      ),
    );
  const place = (rank, depth) => (rank === null ? `not in the first ${depth}` : `rank ${count(rank)}`);

  const reason = (answer, onTrace) => (document) => {
    const most = Math.max(1e-9, ...document.words.flat().flatMap(({ words }) => words.map(([, value]) => value)));
    return el(
      "li",
      {},
      el(
        "div",
        { class: "head" },
        el("b", { class: "mono" }, document.shown),
        el("span", { class: "note" }, document.grade > 0 ? `relevant, grade ${document.grade}` : "not judged relevant"),
      ),
      el("p", { class: "text", dir: "auto" }, document.text),
      el(
        "div",
        { class: "two" },
        answer.names.map((name, i) =>
          el(
            "div",
            {},
            el("p", {}, el("span", { class: "mono" }, name), ": ", el("b", {}, place(document.ranks[i], answer.depth))),
            words(document.words[i], most),
            el(
              "p",
              { class: "note links" },
              answer.late[i]
                ? el("a", { href: LIW.href("", { q: answer.text, doc: document.document }) }, "See which tokens match")
                : document.words[i].length
                  ? null
                  : "One vector for each text: no word has a share of its own.",
              el(
                "button",
                { type: "button", class: "plainlink", on: { click: () => onTrace(name, document.document) } },
                "Follow it through the stages",
              ),
            ),
          ),
        ),
      ),
    );
  };

  /* ask; pair, why: places on the page; from: the address at first. */
  LIW.parts.besides = ({ ask, pair, why, from }) => {
    const menus = [0, 1].map((i) => el("select", { "aria-label": i ? "Second system" : "First system" }));
    const lists = el("div", {}),
      plot = parts.plot({ onPoint: (query) => explain(query) });
    let names = [],
      ticket = 0,
      compared = 0;

    const follow = async (system, question, document) => {
      const box = why.querySelector(".followed");
      const answer = await ask.trace({ system, question, document });
      if (answer.error) {
        LIW.problem(box, answer.error);
        return;
      }
      box.replaceChildren(
        el("h3", {}, "Through the stages of ", el("span", { class: "mono" }, system)),
        el("p", { "aria-live": "polite" }, answer.verdict),
        parts.stages(answer),
      );
      box.scrollIntoView({ behavior: "smooth", block: "nearest" });
    };

    const explain = async (query) => {
      const mine = ++ticket;
      address.write({ query });
      why.setAttribute("aria-busy", "true");
      const answer = await ask.why({ a: menus[0].value, b: menus[1].value, query });
      if (mine !== ticket) return;
      why.removeAttribute("aria-busy");
      if (answer.error) {
        why.replaceChildren(el("div", { class: "card" }, el("div", { class: "problem", role: "alert" }, answer.error)));
        return;
      }
      const onTrace = (system, document) => follow(system, answer.text, document);
      why.replaceChildren(
        el(
          "div",
          { class: "card" },
          el("h2", { tabindex: "-1", dir: "auto" }, answer.text),
          el(
            "p",
            { class: "note" },
            `${answer.relevant} relevant documents; those that the two place most differently, and what each puts first.`,
          ),
          el("ul", { class: "reasons" }, answer.documents.map(reason(answer, onTrace))),
          el("div", { class: "followed" }),
        ),
      );
      why.querySelector("h2").focus({ preventScroll: true });
      why.scrollIntoView({ behavior: "smooth", block: "start" });
    };

    const wins = (answer, i) => {
      const { count: all, questions } = answer.wins[i];
      return el(
        "div",
        { class: "card" },
        el(
          "h2",
          {},
          el("span", { class: "mono" }, answer.names[i]),
          ` answers ${count(all)} of ${count(answer.queries)} better`,
        ),
        questions.length
          ? el(
              "ol",
              { class: "asked" },
              questions.map(({ query, text, values }) =>
                el(
                  "li",
                  {},
                  el(
                    "button",
                    { type: "button", class: "plainlink", dir: "auto", on: { click: () => explain(query) } },
                    text,
                  ),
                  el("span", { class: "num" }, signed(values[1] - values[0], 2)),
                  el("small", {}, `${answer.metric} ${fixed(values[0], 2)} and ${fixed(values[1], 2)}`),
                ),
              ),
            )
          : el("p", { class: "note" }, "None."),
        all > questions.length
          ? el("p", { class: "note" }, `The ${questions.length} that differ most, of ${count(all)}.`)
          : null,
      );
    };

    const compare = async () => {
      const [a, b] = menus.map((menu) => menu.value);
      address.write({ a, b });
      why.replaceChildren();
      if (a === b) {
        lists.replaceChildren(el("p", { class: "note" }, "Choose two different systems."));
        return;
      }
      const mine = ++compared,
        answer = await ask.pair({ a, b });
      if (mine !== compared) return;
      if (answer.error) {
        LIW.problem(lists, answer.error);
        return;
      }
      const [mean, low, high] = answer.difference;
      lists.replaceChildren(
        el(
          "p",
          {},
          `${answer.names[1]} against ${answer.names[0]}: ${signed(mean, 3)} ${answer.metric} (${signed(low, 3)} to ${signed(high, 3)}). A question counts as won by more than ${answer.threshold}. Choose one for the reasons.`,
        ),
        plot.node,
        el("div", { class: "two" }, wins(answer, 0), wins(answer, 1)),
      );
      plot.show(answer.figure, "Difference of every question; the lists below hold those that differ most");
    };
    menus.forEach((menu) => menu.addEventListener("change", compare));

    return {
      /* Which systems can be put side by side, and which two are first. */
      offer: (all, first) => {
        if (all.join("|") === names.join("|")) return;
        names = all;
        pair.replaceChildren();
        why.replaceChildren();
        if (all.length < 2) return;
        const start = [from.a, from.b].every((name) => all.includes(name))
          ? [from.a, from.b]
          : first.length
            ? first
            : all.slice(0, 2);
        menus.forEach((menu, i) => {
          menu.replaceChildren(...all.map((name) => el("option", { value: name }, name)));
          menu.value = start[i];
        });
        pair.append(
          el(
            "div",
            { class: "card" },
            el(
              "div",
              { class: "head" },
              el("h2", {}, "Question by question"),
              el("div", { class: "tools" }, menus[0], "and", menus[1]),
            ),
            lists,
          ),
        );
        compare().then(() => from.query && explain(from.query));
      },
      open: (a, b) => {
        [menus[0].value, menus[1].value] = [a, b];
        pair.scrollIntoView({ behavior: "smooth", block: "start" });
        return compare();
      },
    };
  };
})();
