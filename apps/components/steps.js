/* MaxSim step by step, for teaching: each query token looks for its best match, and the score grows. */
(() => {
  const { el, fixed, signed } = LIW;
  const PAUSE = 1400; // milliseconds a step when it plays

  /* rows: the query units in order; from: the first step shown; onStep(unit or null, step) shows one. */
  LIW.parts.steps = (view, rows, from, onStep, onClose) => {
    let at = -1,
      timer = null;
    const said = el("p", { class: "step", "aria-live": "polite" });
    const total = el("b", { class: "num" });
    const track = el("div", { class: "bar tall", "aria-hidden": "true" });
    const button = (label, run) => el("button", { type: "button", class: "tool", on: { click: run } }, label);
    const play = button("Play", () => (timer ? pause() : start()));
    const box = el(
      "div",
      {
        class: "steps",
        tabindex: "0",
        role: "group",
        "aria-label": "MaxSim step by step; left and right arrow keys move, space plays",
      },
      el(
        "div",
        { class: "tools" },
        button("Back", () => go(at - 1)),
        play,
        button("Next", () => go(at + 1)),
        button("Close", () => {
          pause();
          onClose();
        }),
        total,
      ),
      track,
      said,
    );

    const sums = LIW.scores.running(view.contribution, rows);
    const whole = Math.max(...sums, 1e-9);
    const go = (to) => {
      at = Math.min(Math.max(to, -1), rows.length - 1);
      track.replaceChildren(
        ...rows.slice(0, at + 1).map((row, i) =>
          el("i", {
            class: i === at ? "on" : "",
            style: { width: (100 * Math.max(view.contribution[row], 0)) / whole + "%", opacity: 0.6 },
          }),
        ),
      );
      total.textContent = at < 0 ? "0.000" : fixed(sums[at], 3);
      if (at < 0)
        said.replaceChildren(
          `${rows.length} query tokens will each look for their best match among ` +
            `${view.tokens ?? view.document.length} document tokens.`,
        );
      else {
        const row = rows[at],
          names = LIW.scores.match(view, row);
        said.replaceChildren(
          `${at + 1} of ${rows.length}: `,
          el("b", { class: "mono" }, view.query[row].text),
          " is most similar to ",
          el("b", { class: "mono" }, names),
          `: ${signed(view.contribution[row], 3)}. `,
          at === rows.length - 1
            ? `All added up, the score is ${fixed(sums[at], 3)}.`
            : `Together so far ${fixed(sums[at], 3)}.`,
        );
      }
      onStep(at < 0 ? null : rows[at], at);
      if (at === rows.length - 1) pause();
    };
    const pause = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    const start = () => {
      if (at >= rows.length - 1) at = -1;
      play.textContent = "Pause";
      timer = setInterval(() => (box.isConnected ? go(at + 1) : pause()), PAUSE);
      go(at + 1);
    };
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -rows.length, End: rows.length }[event.key];
      if (step) {
        pause();
        go(at + step);
        event.preventDefault();
      } else if (event.key === " " && event.target === box) {
        play.click();
        event.preventDefault();
      }
    });
    go(from);
    return box;
  };
})();
