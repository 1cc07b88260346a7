/* A long document: where in it the score comes from, and which passage is shown in full. */
(() => {
  const { el, fixed, count } = LIW;

  /* seen: the overview of an explanation; score: all of it; onChoose(number) opens a passage. */
  LIW.parts.passages = (seen, score, onChoose) => {
    const most = Math.max(...seen.scores, 1e-9),
      total = seen.scores.length;
    const held = (number) => `passage ${number + 1} of ${total}, ${fixed(seen.scores[number], 3)} of the score`;
    const strip = el("div", { class: "strip", role: "group", "aria-label": "The document from beginning to end" });
    seen.scores.forEach((value, number) =>
      strip.append(
        el(
          "button",
          {
            type: "button",
            tabindex: number === seen.number ? "0" : "-1",
            title: held(number),
            "aria-label": held(number),
            "aria-current": number === seen.number ? "true" : undefined,
            on: { click: () => onChoose(number) },
          },
          el("i", { style: { height: Math.max(0, (100 * value) / most) + "%" } }),
        ),
      ),
    );
    LIW.roving(strip, "button");
    const step = (by, label) =>
      el(
        "button",
        {
          type: "button",
          class: "tool",
          disabled: seen.number + by < 0 || seen.number + by >= total,
          on: { click: () => onChoose(seen.number + by) },
        },
        label,
      );
    return el(
      "div",
      { class: "passages" },
      el("h2", {}, `Where in its ${count(seen.tokens)} tokens the score comes from`),
      strip,
      el(
        "ol",
        { class: "telling" },
        seen.best.map((part) =>
          el(
            "li",
            {},
            el(
              "button",
              {
                type: "button",
                "aria-current": part.number === seen.number ? "true" : undefined,
                on: { click: () => onChoose(part.number) },
              },
              el("span", { class: "n" }, fixed(part.score, 2)),
              el("span", { class: "soft" }, `passage ${part.number + 1}`),
              el("bdi", {}, part.text),
            ),
          ),
        ),
      ),
      Math.abs(seen.elsewhere) < 0.005
        ? null
        : el(
            "p",
            { class: "note" },
            `${fixed(seen.elsewhere, 2)} of ${fixed(score, 2)} comes from tokens that stand for no place, such as means.`,
          ),
      el(
        "div",
        { class: "tools row-tools" },
        el("b", {}, `Passage ${seen.number + 1} of ${total}`),
        el("span", { class: "soft" }, `${fixed(seen.scores[seen.number], 3)} of the score`),
        step(-1, "Previous"),
        step(1, "Next"),
      ),
    );
  };
})();
