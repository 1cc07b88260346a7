/* The answer of the page Systems: a sentence with its uncertainty, what last stages add, and where to go from there. */
(() => {
  const { el } = LIW;
  const SURE = "The interval is over the questions; which system is the best was chosen anew in each of its samples.";
  const LACKING = "Compare a system with late interaction and one without for the answer.";

  const crossEncoder = (best, behind) => {
    const name = el("input", {
      type: "text",
      class: "field mono",
      placeholder: "owner/name",
      "aria-label": "Name of a cross-encoder",
    });
    const measure = () => name.value.trim() && behind(best, name.value.trim());
    return el(
      "div",
      { class: "tools cross" },
      el("label", { class: "check grow" }, "What would a cross-encoder add? ", name),
      el("button", { type: "button", class: "tool", on: { click: measure } }, "Measure it on the best 50"),
    );
  };

  /* see(pair): show two systems side by side; behind(best, model): measure a cross-encoder behind a system. */
  LIW.parts.verdict = ({ answer, details, added, pair }, { see, behind }) => {
    if (!answer && !added.length) return "";
    return el(
      "div",
      { class: "card" },
      answer ? el("p", { class: "lead", "aria-live": "polite" }, answer) : null,
      answer ? el("p", {}, details[0].toUpperCase() + details.slice(1)) : null,
      el("p", { class: "note" }, answer ? SURE : LACKING),
      added.length ? el("h3", {}, "What the last stage adds") : null,
      added.length
        ? el(
            "ul",
            { class: "added" },
            added.map((line) => el("li", {}, line)),
          )
        : null,
      pair.length
        ? el(
            "button",
            { type: "button", class: "tool", on: { click: () => see(pair) } },
            "See the questions that each wins",
          )
        : null,
      pair.length && !pair[1].includes("cross-encoder") ? crossEncoder(pair[1], behind) : null,
    );
  };
})();
