/* The aligned rows of the pool-factor page: one quantity each over the same factors. */
(() => {
  const { el, svg, fixed, count } = LIW;
  const megabytes = (bytes) => bytes / 1e6;
  const short = (value) => (value < 10 ? value.toFixed(1) : count(Math.round(value)));

  /* rows: records in order of factors; all: how many there will be; chosen: which is marked. */
  LIW.parts.poolRows = (rows, all, chosen, width) => {
    const step = width / all, x = (i) => step * (i + .5), wide = Math.min(32, step * .6);
    const frame = (height, label) => {
      const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
      root.append(svg("rect", { x: x(chosen) - Math.min(26, step / 2 - 1), y: 0, width: Math.min(52, step - 2), height, rx: 8, fill: "rgba(var(--heat),.10)" }));
      return root;
    };
    const line = (title, unit, figure) => el("div", { class: "row" }, el("div", { class: "lab" }, el("b", {}, title), el("span", {}, unit)), figure);
    const number = (i, y, value, tall) => svg("text", { x: x(i), y, "text-anchor": "middle", class: i === chosen || tall ? "v" : "" }, value);

    const quality = () => {
      const height = 150, low = Math.min(...rows.map((r) => r.low)), high = Math.max(...rows.map((r) => r.high));
      const margin = Math.max((high - low) * .1, .005), [bottom, top] = [low - margin, high + margin];
      const y = (value) => 12 + ((top - value) / (top - bottom)) * (height - 20);
      const root = frame(height, `${rows[0].metric} by pool factor: ` + rows.map((r) => `${r.label}: ${fixed(r.mean, 3)}`).join(", "));
      const unit = [.2, .1, .05, .02, .01, .005].find((size) => (top - bottom) / size >= 2.5) || .005;
      for (let at = Math.ceil(bottom / unit) * unit; at < top; at += unit)
        root.append(svg("line", { x1: 0, x2: width, y1: y(at), y2: y(at), stroke: "var(--line)" }), svg("text", { x: 0, y: y(at) - 4 }, fixed(at, unit < .01 ? 3 : 2)));
      const up = rows.map((r, i) => `${x(i)},${y(r.high)}`), down = rows.map((r, i) => `${x(i)},${y(r.low)}`).reverse();
      if (rows.length > 1) root.append(
        svg("path", { d: "M" + up.join("L") + "L" + down.join("L") + "Z", fill: "rgba(var(--heat),.12)" }),
        svg("path", { d: "M" + rows.map((r, i) => `${x(i)},${y(r.mean)}`).join("L"), fill: "none", stroke: "var(--accent)", "stroke-width": 2.5 }));
      rows.forEach((r, i) => {
        root.append(svg("circle", { class: "point", "data-factor": r.label, cx: x(i), cy: y(r.mean), r: i === chosen ? 6 : 4, fill: i === chosen ? "var(--accent2)" : "var(--accent)" }));
        if (i === chosen) root.append(number(i, y(r.mean) - 12, fixed(r.mean, 3)));
      });
      return line(rows[0].metric.replace("ndcg", "nDCG"), `band: 95% bootstrap over ${rows[0].queries} questions`, root);
    };

    const moved = () => {
      const height = 112, most = Math.max(1, ...rows.map((r) => Math.max(r.n_better, r.n_worse))), middle = height / 2;
      const scale = (middle - 17) / most;
      const root = frame(height, "Questions better and worse: " + rows.map((r) => `${r.label}: ${r.n_better} better, ${r.n_worse} worse`).join("; "));
      root.append(svg("line", { x1: 0, x2: width, y1: middle, y2: middle, stroke: "var(--line)" }));
      rows.forEach((r, i) => {
        root.append(svg("rect", { x: x(i) - wide / 2, y: middle - r.n_better * scale, width: wide, height: r.n_better * scale, rx: 3, fill: "var(--accent)" }),
          svg("rect", { x: x(i) - wide / 2, y: middle, width: wide, height: r.n_worse * scale, rx: 3, fill: "var(--accent2)" }));
        if (r.n_better) root.append(number(i, middle - r.n_better * scale - 4, r.n_better));
        if (r.n_worse) root.append(number(i, middle + r.n_worse * scale + 13, r.n_worse));
      });
      return line("Questions", "better above, worse below, by more than .05", root);
    };

    const bars = (title, unit, of, format, floor = 0) => {
      const height = 84, most = Math.max(...rows.map(of));
      const root = frame(height, `${title}, ${unit}: ` + rows.map((r) => `${r.label}: ${format(of(r))}`).join(", "));
      rows.forEach((r, i) => {
        const tall = Math.max(1, ((of(r) - floor) / (most - floor || 1)) * (height - 22));
        root.append(svg("rect", { x: x(i) - wide / 2, y: height - tall, width: wide, height: tall, rx: 3, fill: i === chosen ? "var(--accent2)" : "rgba(var(--heat),.55)" }), number(i, height - tall - 4, format(of(r))));
      });
      return line(title, unit, root);
    };

    const axis = () => {
      const root = svg("svg", { viewBox: `0 0 ${width} 18`, "aria-hidden": "true" });
      rows.forEach((r, i) => root.append(number(i, 14, r.label)));
      return root;
    };
    const others = Object.keys(rows[0].others).map((name) => bars(name, "higher is better", (r) => r.others[name], (value) => fixed(value, 2)));
    return {
      axis: axis(), inset: step / 2 / width,
      rows: [quality(), moved(), ...others, bars("Size", "MB on disk", (r) => megabytes(r.bytes), short), bars("Time", "ms a question, median", (r) => r.milliseconds, short)],
    };
  };

  LIW.parts.poolTable = (rows) => el("div", { class: "scroll" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ["Factor", "Vectors", rows[0].metric, "95% interval", ...Object.keys(rows[0].others), "better", "worse", "MB", "ms a question", "s to pool"].map((head, i) =>
      el("th", { scope: "col", class: i ? "n" : "" }, head)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, el("th", { scope: "row" }, r.label), [count(r.tokens), fixed(r.mean, 4), `${fixed(r.low, 3)} to ${fixed(r.high, 3)}`,
      ...Object.values(r.others).map((value) => fixed(value, 4)), r.n_better, r.n_worse, fixed(megabytes(r.bytes), 2), fixed(r.milliseconds, 2), fixed(r.seconds, 2)].map((cell) => el("td", { class: "n" }, String(cell))))))));
})();
