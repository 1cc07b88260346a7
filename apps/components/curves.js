/* One quantity over the steps of a run: a line, its interval if there is one, and the value that counts. */
(() => {
  const { el, svg, fixed, count } = LIW;
  const HEIGHT = 170, LEFT = 44, BOTTOM = 22, MOST = 400; // pixels, and points of a line

  /* points: [{x, y, low, high}]; end: the last step that will come; best: mark the highest instead of the latest. */
  LIW.parts.curve = (title, unit, points, end, best, digits = 3) => {
    const width = 540, every = Math.ceil(points.length / MOST);
    const drawn = points.filter((_, i) => i % every === 0 || i === points.length - 1);
    const lows = drawn.map((p) => p.low ?? p.y), highs = drawn.map((p) => p.high ?? p.y);
    const margin = Math.max((Math.max(...highs) - Math.min(...lows)) * .12, 1e-3);
    const [bottom, top] = [Math.min(...lows) - margin, Math.max(...highs) + margin];
    const x = (step) => LEFT + (step / Math.max(end, 1)) * (width - LEFT - 12), y = (value) => 8 + ((top - value) / (top - bottom)) * (HEIGHT - BOTTOM - 12);
    const marked = best ? points.reduce((one, other) => (other.y > one.y ? other : one)) : points[points.length - 1];
    const root = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${fixed(points[0].y, digits)} at step ${points[0].x}, ${fixed(points[points.length - 1].y, digits)} at step ${points[points.length - 1].x}` });
    const unitOf = [1, .5, .2, .1, .05, .02, .01, .005, .002, .001].find((size) => (top - bottom) / size >= 2.5) || .001;
    for (let at = Math.ceil(bottom / unitOf) * unitOf; at < top; at += unitOf)
      root.append(svg("line", { x1: LEFT, x2: width, y1: y(at), y2: y(at), stroke: "var(--line)" }), svg("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, fixed(at, unitOf < .01 ? 3 : 2)));
    root.append(svg("text", { x: LEFT, y: HEIGHT - 4 }, "step 0"), svg("text", { x: width - 12, y: HEIGHT - 4, "text-anchor": "end" }, count(end)));
    if (drawn.length > 1 && drawn[0].low !== undefined)
      root.append(svg("path", { d: "M" + drawn.map((p) => `${x(p.x)},${y(p.high)}`).join("L") + "L" + [...drawn].reverse().map((p) => `${x(p.x)},${y(p.low)}`).join("L") + "Z", fill: "rgba(var(--heat),.12)" }));
    root.append(svg("path", { d: "M" + drawn.map((p) => `${x(p.x)},${y(p.y)}`).join("L"), fill: "none", stroke: "var(--accent)", "stroke-width": 2, "stroke-linejoin": "round" }));
    if (drawn.length < 30) drawn.forEach((p) => root.append(svg("circle", { cx: x(p.x), cy: y(p.y), r: 3.5, fill: "var(--accent)" })));
    const right = x(marked.x) > width - 60;
    root.append(svg("circle", { cx: x(marked.x), cy: y(marked.y), r: 5.5, fill: "var(--accent2)" }),
      svg("text", { x: x(marked.x) + (right ? -9 : 9), y: Math.max(14, y(marked.y) - 8), "text-anchor": right ? "end" : "start", class: "v" }, fixed(marked.y, digits)));
    return el("figure", { class: "figure" }, el("figcaption", {}, el("b", {}, title), " ", el("span", { class: "note" }, unit)), root);
  };
})();
