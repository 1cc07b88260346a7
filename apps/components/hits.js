/* The ranked documents of a search. */
(() => {
  const { el, fixed } = LIW;

  const bar = (hit, top) =>
    el(
      "span",
      { class: "bar", "aria-hidden": "true" },
      hit.contribution.map((value) =>
        el("i", {
          style: {
            width: (100 * Math.max(value, 0)) / top + "%",
            opacity: 0.25 + 0.75 * Math.min(1, Math.max(0, value)),
          },
        }),
      ),
    );

  /* A dotted name may break after its dots and underscores. */
  const broken = (name) => name.split(/(?<=[._/])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

  /* hits: of a search; open(id) is told which one was chosen. */
  LIW.parts.hits = (hits, chosen, open) => {
    const top = Math.max(
      ...hits.map((hit) => hit.contribution.reduce((sum, value) => sum + Math.max(value, 0), 0)),
      1e-9,
    );
    const most = Math.max(...hits.flatMap((hit) => hit.snippet.map((part) => part.weight)), 1e-9);
    return hits.map((hit) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            class: "hit",
            type: "button",
            "aria-current": hit.id === chosen ? "true" : undefined,
            on: { click: () => open(hit.id) },
          },
          el(
            "span",
            { class: "t" },
            el("span", { class: "rank" }, String(hit.rank)),
            el("span", { class: "title" }, ...broken(hit.title)),
            el("span", { class: "value" }, fixed(hit.score)),
          ),
          el(
            "span",
            { class: "s" },
            hit.snippet.map((part) =>
              part.weight > 0
                ? el(
                    "span",
                    {
                      style: {
                        background: `rgba(var(--tint),calc(var(--strong) * ${((0.6 * part.weight) / most).toFixed(3)}))`,
                      },
                    },
                    part.text,
                  )
                : part.text,
            ),
          ),
          hit.part ? el("span", { class: "part" }, hit.part) : null,
          hit.grade ? el("span", { class: "grade" }, hit.grade) : null,
          bar(hit, top),
        ),
      ),
    );
  };
})();
