/* The frontier of indexes: milliseconds against quality, the area of a dot is its bytes a token. */
(() => {
  const { el, svg, fixed, count } = LIW;
  LIW.milliseconds = (value) => (value < 10 ? fixed(value, 2) : value < 100 ? fixed(value, 1) : count(Math.round(value)));
  const HEIGHT = 330, LEFT = 46, BOTTOM = 40, LETTER = 7.2; // pixels

  /* Scales over the points, with room for their names. */
  const scales = (points, width) => {
    const times = points.map((point) => Math.log10(point.time)), values = points.map((point) => point.value);
    const [low, high] = [Math.min(...times) - .15, Math.max(...times) + .35];
    const slack = Math.max((Math.max(...values) - Math.min(...values)) * .18, .01);
    const [under, over] = [Math.min(...values) - slack, Math.max(...values) + slack];
    return {
      low, high, under, over,
      x: (time) => LEFT + ((Math.log10(time) - low) / (high - low)) * (width - LEFT - 20),
      y: (value) => 12 + ((over - value) / (over - under)) * (HEIGHT - BOTTOM - 20),
    };
  };
  const grid = (root, { low, high, under, over, x, y }, width, share) => {
    const unit = [.2, .1, .05, .02, .01, .005].find((size) => (over - under) / size >= 3) || .005;
    for (let at = Math.ceil(under / unit) * unit; at <= over + 1e-9 && !(share && at > 1 + 1e-9); at += unit)
      root.append(svg("line", { x1: LEFT, x2: width, y1: y(at), y2: y(at), stroke: "var(--line)" }), svg("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, fixed(at, unit < .01 ? 3 : 2)));
    const narrow = width < 500 && high - low > 1.5;
    for (let power = Math.floor(low) - 1; power <= high; power++) (narrow ? [1] : [1, 2, 5]).forEach((step) => {
      const time = step * 10 ** power, at = Math.log10(time);
      if (at < low || at > high) return;
      root.append(svg("line", { x1: x(time), x2: x(time), y1: 6, y2: HEIGHT - BOTTOM, stroke: "var(--line)", "stroke-dasharray": "2 4" }), svg("text", { x: x(time), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(+time.toPrecision(2))));
    });
    root.append(svg("text", { x: width, y: HEIGHT - 4, "text-anchor": "end" }, "milliseconds a question, median, logarithmic"));
  };
  /* Where a name goes so that it covers no other: [x, y, anchor]. */
  const placeName = (placed, text, px, py, radius, width) => {
    const wide = text.length * LETTER;
    const anchor = px + wide / 2 > width ? "end" : px - wide / 2 < LEFT ? "start" : "middle";
    const left = anchor === "end" ? px - wide : anchor === "start" ? px : px - wide / 2;
    const free = (y) => y > 10 && y < HEIGHT - BOTTOM && placed.every(([l, r, other]) => Math.abs(other - y) >= 15 || left > r || left + wide < l);
    const tries = [py - radius - 6, py + radius + 16, ...Array.from({ length: 12 }, (_, i) => py - radius - 21 - 15 * i), ...Array.from({ length: 12 }, (_, i) => py + radius + 31 + 15 * i)];
    const y = tries.find(free) ?? tries[0];
    placed.push([left, left + wide, y]);
    return { x: px, y, "text-anchor": anchor };
  };

  /* points: {name, time, value, bytes}; share: values end at 1; onChoose(name). */
  LIW.parts.frontier = (points, chosen, width, share, onChoose) => {
    const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": "Milliseconds against quality: " + points.map((point) => `${point.name} ${LIW.milliseconds(point.time)} ms, ${fixed(point.value, 3)}`).join("; ") });
    if (!points.length) return root;
    const scale = scales(points, width), { x, y } = scale;
    grid(root, scale, width, share);
    const best = [...points].sort((a, b) => a.time - b.time).filter((point, i, all) => all.slice(0, i).every((before) => before.value < point.value));
    root.append(svg("path", { d: "M" + best.map((point, i) => (i ? `${x(point.time)},${y(best[i - 1].value)}L` : "") + `${x(point.time)},${y(point.value)}`).join("L"), fill: "none", stroke: "var(--accent)", "stroke-width": 1.5, "stroke-dasharray": "4 4" }));
    const most = Math.max(...points.map((point) => point.bytes)), placed = [];
    points.forEach((point) => {
      const [px, py] = [x(point.time), y(point.value)], on = point.name === chosen, radius = 5 + 13 * Math.sqrt(point.bytes / most);
      const dot = svg("circle", { class: "point", "data-name": point.name, tabindex: 0, role: "button", "aria-label": `${point.name}, show its facts`, cx: px, cy: py, r: radius, fill: on ? "var(--accent2)" : "rgba(var(--heat),.55)", stroke: "var(--card)", "stroke-width": 1.5, style: "cursor:pointer" });
      dot.addEventListener("click", () => onChoose(point.name));
      dot.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onChoose(point.name); } });
      const text = `${point.name} ${LIW.milliseconds(point.time)} ms`;
      root.append(dot, svg("text", { ...placeName(placed, text, px, py, radius, width), class: "v" }, text));
    });
    return root;
  };
})();
