/* The stages that a document passes through, each with how many go on. */
(() => {
  const { el, fixed, count } = LIW;
  const EXPLAINED = {
    probe: "the lists of the nearest centroids of each query token are opened",
    candidates: "documents are ordered by a cheap estimate",
    "centroid scores": "documents are scored by the centroids of their tokens",
    "refined scores": "the tokens that gave a document its score are looked at more closely",
    "exact scores": "documents are scored by MaxSim on the stored vectors",
    neighbours: "each query token finds its nearest token vectors",
    encodings: "documents are ordered by the product of one encoding each",
    search: "the other library searches",
  };
  /* record: {stages: [{name, setting, limit, entered, kept, score, rank, survived, explained}]} */
  LIW.parts.stages = (record) => {
    const most = Math.log10(Math.max(10, ...record.stages.map((stage) => stage.entered)) + 1);
    const wide = (number) => Math.max(1.5, (100 * Math.log10(number + 1)) / most) + "%";
    return el(
      "ol",
      { class: "stages" },
      record.stages.map((stage) =>
        el(
          "li",
          { class: stage.survived ? "" : "lost" },
          el(
            "div",
            { class: "lab" },
            el("b", {}, stage.name),
            el("span", { class: "note" }, stage.explained || EXPLAINED[stage.name] || ""),
          ),
          el(
            "div",
            {},
            el(
              "div",
              { class: "funnel", "aria-hidden": "true" },
              el("i", { style: { width: wide(stage.entered) } }),
              el("u", { style: { width: wide(stage.kept) } }),
            ),
            el(
              "span",
              { class: "note num" },
              `${count(stage.kept)} of ${count(stage.entered)} go on`,
              stage.setting ? ` (${stage.setting} ${+stage.limit.toPrecision(4)})` : "",
            ),
          ),
          el(
            "div",
            { class: "fate" },
            el("b", {}, stage.survived ? "goes on" : "lost here"),
            stage.rank === null
              ? null
              : el(
                  "span",
                  { class: "note num" },
                  `rank ${count(stage.rank)}`,
                  Math.abs(stage.score) < 1000 ? `, score ${fixed(stage.score, 2)}` : "",
                ),
          ),
        ),
      ),
    );
  };
})();
