/* Between a model and what it was trained from: what it gains and forgets on the way, and the point to keep. */
(() => {
  const { el, fixed, signed } = LIW;
  const SURE = 0.05;

  /* send: of the page; keep(request): of Python. */
  LIW.parts.between = ({ send, keep }) => {
    const plot = LIW.parts.plot(),
      node = el("div", {});
    let model = "",
      share = 0.5,
      merged = null,
      running = "",
      failed = "",
      kept = null;

    const at = () => merged.points.find((point) => point.share === share);
    const sentence = () => {
      const point = at();
      return point
        ? point.scores.map(
            ({ name, ndcg, difference, p }) =>
              `${name}: ${fixed(ndcg, 3)}, ${signed(difference, 3)} against the base` +
              (share && p >= SURE ? " (may be chance). " : ". "),
          )
        : "Between two measured points. ";
    };
    const slider = () => {
      const said = el("p", { role: "status" }, sentence());
      const name = el("b", { class: "num" }, `${Math.round(100 * share)}%`);
      const range = el("input", {
        type: "range",
        min: 0,
        max: 1,
        step: 0.05,
        value: share,
        "aria-label": "Share of the way to the trained model",
      });
      range.addEventListener("input", () => {
        share = Number(range.value);
        name.textContent = `${Math.round(100 * share)}%`;
        said.replaceChildren(...sentence());
      });
      return [el("label", { class: "stack" }, el("span", {}, "Of the way: ", name), range), said];
    };
    const save = async (button) => {
      button.disabled = true;
      kept = await keep({ model, share });
      draw();
    };
    const outcome = () => {
      if (!kept) return null;
      if (kept.error) return el("div", { class: "problem", role: "alert" }, kept.error);
      const href = LIW.href("own", { source: "open", model: kept.model });
      return el("p", {}, "Kept as ", el("a", { class: "mono", href }, kept.model), ", for all pages.");
    };
    const draw = () => {
      const button = el("button", { type: "button", class: "tool main" }, "Keep this point as a model");
      button.addEventListener("click", () => save(button));
      const start = el("button", { type: "button", class: "tool", disabled: Boolean(running) }, "Measure the way");
      start.addEventListener("click", () => send("train", { merge: model }));
      const stop = el("button", { type: "button", class: "tool", hidden: !running }, "Stop");
      stop.addEventListener("click", () => send("halt"));
      if (merged) plot.show(merged.figure, "Change of nDCG@10 between the base and the trained model");
      node.replaceChildren(
        el(
          "div",
          { class: "card between" },
          el("h2", {}, "Learn the new, keep the old"),
          el(
            "p",
            { class: "soft" },
            "A model on the line between the base and the trained one often keeps most of what was gained and of what " +
              "was known. Measured on this collection and on the embedded one, at five points.",
          ),
          merged
            ? [plot.node, ...slider(), el("div", { class: "tools" }, button), outcome()]
            : el("div", { class: "tools" }, start, stop, el("span", { class: "note", role: "status" }, running)),
          failed ? el("div", { class: "problem", role: "alert" }, failed) : null,
        ),
      );
    };

    return {
      node,
      /* Of another trained model: what was measured is not its. */
      of: (name) => {
        if (name === model) return;
        [model, merged, kept, running, failed, share] = [name, null, null, "", "", 0.5];
        if (name) draw();
        else node.replaceChildren();
      },
      tell: (step, error = "") => {
        [running, failed] = [step, error];
        draw();
      },
      show: (found) => {
        [merged, running] = [found, ""];
        draw();
      },
    };
  };
})();
