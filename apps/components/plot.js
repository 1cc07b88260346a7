/* Figures that Python made (workbench.figures), drawn by plotly.js, which is fetched when the first one is there. */
(() => {
  const { el } = LIW;
  const SETTINGS = { displaylogo: false, displayModeBar: false };

  /* The text of a figure in the colours of a theme: Python writes the light ones. */
  LIW.coloured = (text, dark) =>
    dark ? text.replace(/#[0-9a-f]{6}\b|rgba\(\d+,\d+,\d+,/g, (found) => LIW.plotting.dark[found] ?? found) : text;

  /* A figure without its title, for a page that has a heading; the room of the title goes too. */
  LIW.untitled = (figure) => {
    const { title, margin, height, ...layout } = figure.layout,
      top = 30;
    return { ...figure, layout: { ...layout, margin: { ...margin, t: top }, height: height - margin.t + top } };
  };

  /* A figure in which the column at a position is marked, as the slider of a study does. */
  LIW.withColumn = (figure, position, colour) => {
    const band = {
      type: "rect",
      xref: "x",
      yref: "paper",
      layer: "below",
      line: { width: 0 },
      x0: position - 0.45,
      x1: position + 0.45,
      y0: 0,
      y1: 1,
      fillcolor: colour,
    };
    return { ...figure, layout: { ...figure.layout, shapes: [...(figure.layout.shapes ?? []), band] } };
  };

  /* A figure in which the mark of a name is outlined; marks carry their name first in `customdata`. */
  LIW.withMark = (figure, name, colour) => ({
    ...figure,
    data: figure.data.map((trace) => {
      const outlined = (trace.customdata ?? []).map((own) => Boolean(name) && own[0] === name);
      if (!outlined.includes(true)) return trace;
      const { line = {} } = trace.marker;
      const each = (chosen, other) => outlined.map((is) => (is ? chosen : other));
      const own = { ...line, color: each(colour, line.color ?? "rgba(0,0,0,0)"), width: each(4, line.width ?? 0) };
      return { ...trace, marker: { ...trace.marker, line: own } };
    }),
  });

  /* The text of plotly.js: from the application, or from a file of a site, which no server unpacks. */
  LIW.plotly = async () => {
    const { path, packed } = LIW.plotting;
    const answer = await fetch(packed ?? LIW.root() + path);
    const body = packed ? answer.body.pipeThrough(new DecompressionStream("gzip")) : answer.body;
    return new Response(body).text();
  };

  let library = null;
  const plotly = () => {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    library ??= new Promise(async (resolve, reject) => {
      const packed = LIW.plotting.packed && new Blob([await LIW.plotly()], { type: "text/javascript" });
      const script = el("script", { src: packed ? URL.createObjectURL(packed) : LIW.root() + LIW.plotting.path });
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error("plotly.js did not load"));
      document.head.append(script);
    });
    return library;
  };

  /*
   * A place for a figure, kept by the page while it draws other things anew.
   * change(figure) marks what is chosen; onPoint(name) is told which mark was clicked; onDrawn(place) follows a
   * drawing; below: what stands between the figure and its note.
   */
  LIW.parts.plot = ({ change = (figure) => figure, onPoint, onDrawn, below } = {}) => {
    const place = el("div", { class: "plot", role: "img" }),
      note = el("p", { class: "note" });
    const node = el("div", {}, place, below, note);
    let text = "",
      listening = false;
    const draw = async () => {
      if (!text) return;
      const figure = change(LIW.untitled(JSON.parse(LIW.coloured(text, LIW.theme() === "dark"))));
      note.textContent = figure.layout.meta.note;
      try {
        await (await plotly()).react(place, figure.data, figure.layout, SETTINGS);
      } catch (error) {
        LIW.problem(place, `The figure cannot be drawn (${error.message}): the table holds the same numbers.`);
        return;
      }
      if (listening) return;
      listening = true;
      place.on("plotly_click", ({ points }) => {
        const name = points[0]?.customdata?.[0];
        if (name !== undefined) onPoint?.(name);
      });
      place.on("plotly_afterplot", () => onDrawn?.(place));
      new ResizeObserver(() => place.clientWidth && window.Plotly.Plots.resize(place)).observe(place);
      onDrawn?.(place);
    };
    new MutationObserver(draw).observe(document.body, { attributeFilter: ["class"] });
    // Before the first figure is there: a measurement takes longer than reading the library does.
    (window.requestIdleCallback ?? setTimeout)(() => plotly().catch(() => {}));
    return {
      node,
      show: (figure, label) => {
        text = figure || "";
        node.hidden = !text;
        place.setAttribute("aria-label", label);
        return draw();
      },
    };
  };
})();
