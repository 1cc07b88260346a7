/* Which stage of a system drops relevant documents, over all judged questions. */
(() => {
  const { el, fixed, count } = LIW;
  const MORE =
    "Won back: they become results when every stage that finds documents sends on all that it has. The others come " +
    "too low in the last stage itself: another model may find them, or a larger k.";

  /* place: where it stands on the page; send: of the page. */
  LIW.parts.losses = ({ place, send }) => {
    const menu = el("select", { "aria-label": "System whose losses are counted" });
    const said = el("span", { class: "note", role: "status" }),
      found = el("div", {});
    const start = el("button", { type: "button", class: "tool" }, "Trace all judged questions");
    const stop = el("button", { type: "button", class: "tool", hidden: true }, "Stop");
    let names = [];
    start.addEventListener("click", () => {
      found.replaceChildren();
      show({ status: "running", step: "Waiting for the machine", error: "", found: null });
      send("lose", { system: menu.value });
    });
    stop.addEventListener("click", () => send("halt", {}));

    const table = (stages) =>
      LIW.parts.listing(
        [
          ["Lost at", "mono"],
          ["Documents", "n"],
          ["Share", "n"],
          ["Questions", "n"],
          ["Won back by sending on more", "n"],
          ["Half of those by", "n"],
        ],
        stages.map((stage) => [
          stage.stage,
          count(stage.lost),
          fixed(100 * stage.share, 1) + "%",
          count(stage.queries),
          stage.back ? count(stage.back) : "none",
          stage.depth === null ? "" : `${count(stage.depth)} sent on`,
        ]),
        { caption: "Stages that lose relevant documents" },
      );
    const show = ({ status, step, error, found: report }) => {
      const running = status === "running";
      start.disabled = running;
      stop.hidden = !running;
      said.textContent = running ? step : status === "stopped" ? "Stopped." : "";
      if (error) LIW.problem(found, error);
      if (report)
        found.replaceChildren(
          el("p", { "aria-live": "polite" }, report.text),
          report.stages.length ? table(report.stages) : "",
          report.stages.length ? el("p", { class: "note" }, MORE) : "",
        );
    };

    return {
      show,
      offer: (all) => {
        if (all.join("|") === names.join("|")) return;
        names = all;
        place.replaceChildren();
        if (!all.length) return;
        menu.replaceChildren(...all.map((name) => el("option", { value: name }, name)));
        found.replaceChildren();
        place.append(
          el(
            "div",
            { class: "card" },
            el("h2", {}, "Where does a system lose relevant documents?"),
            el("div", { class: "tools" }, menu, start, stop, said),
            found,
          ),
        );
      },
    };
  };
})();
