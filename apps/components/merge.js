/* Which tokens of a document become one vector. */
(() => {
  const { el } = LIW;

  /* answer: of Python's `merge`; choose(name) is told of another document. */
  LIW.parts.merge = ({ answer, factor, document, ask, choose }) => {
    const field = el("input", {
      type: "text",
      list: "liw-names",
      value: document,
      "aria-label": "Document",
      class: "field mono",
    });
    const names = el("datalist", { id: "liw-names" });
    field.addEventListener("input", async () =>
      names.replaceChildren(
        ...((await ask.names({ text: field.value })).names || []).map((name) => el("option", { value: name })),
      ),
    );
    field.addEventListener("change", () => choose(field.value.trim()));
    const card = el(
      "div",
      { class: "card" },
      el("h2", {}, `Which tokens become one vector ${/^[\d.]+$|^one$/.test(factor) ? "at factor" : "with"} ${factor}`),
      el("label", { class: "tools" }, "Document", field, names),
    );
    if (answer.error) {
      card.append(el("div", { class: "problem", role: "alert", style: { "margin-top": "12px" } }, answer.error));
      return card;
    }
    const same = (group) =>
      card
        .querySelectorAll("[data-group]")
        .forEach((node) => node.classList.toggle("same", group !== null && node.dataset.group === String(group)));
    const watchers = (group) => ({
      mouseenter: () => same(group),
      mouseleave: () => same(null),
      focus: () => same(group),
      blur: () => same(null),
    });
    const prose = el(
      "p",
      { class: "text merged", dir: "auto" },
      answer.segments.flatMap((part) =>
        part.group === -2
          ? [el("s", { title: "dropped: it has no vector any more" }, part.text)]
          : part.group === null || part.group < 0
            ? [part.text]
            : [
                el(
                  "span",
                  {
                    "data-group": part.group,
                    on: watchers(part.group),
                    style: { background: `rgba(var(--tint),calc(var(--strong) * ${0.18 + 0.1 * (part.group % 3)}))` },
                  },
                  part.text,
                ),
                el("sub", { "aria-hidden": "true" }, String(part.group + 1)),
              ],
      ),
    );
    const list = el(
      "div",
      { class: "groups" },
      answer.groups.map((tokens, group) =>
        el(
          "button",
          { type: "button", "data-group": group, on: watchers(group) },
          `${group + 1}  ${tokens.join(" + ")}`,
        ),
      ),
    );
    card.append(
      prose,
      el(
        "p",
        { class: "note" },
        `${answer.tokens} tokens become ${answer.vectors} vectors` +
          `${answer.dropped ? `, and ${answer.dropped} are dropped, struck out here` : ""}. ` +
          "The same number: merged into one vector; without a number: kept as it is.",
      ),
      list,
    );
    return card;
  };
})();
