/* The page Indexes: a comparison that fills in, its frontier, and the facts of one index. */
LIW.pages.indexes = (element, props, server, trigger, watch) => {
  const { el, svg, fixed, count, address } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [kinds, extra, matched, limit, start, stop, said] = [".kinds", ".extra", ".matched", ".limit", ".start", ".stop", ".progress"].map(find);
  const setup = props.value;
  let current = setup.run, chosen = address.read().index || "", quality = address.read().y || "recall_10", pending = false;

  find(".intro").textContent = `Every index gets the same vectors of ${setup.collection} (${count(setup.documents)} documents, model ${setup.model}) and runs in its own process. `
    + "Recall says how much of exact MaxSim it finds; nDCG says how good the answers are. They are not the same thing.";
  const boxes = setup.kinds.map(({ name, missing }) => {
    const box = el("input", { type: "checkbox", value: name, disabled: Boolean(missing) });
    box.checked = !missing;
    kinds.append(el("label", { class: "check" + (missing ? " missing" : ""), title: missing || undefined }, box, name + (missing ? " (not installed)" : "")));
    return box;
  });
  [...setup.limits, 0].forEach((most) => limit.append(el("option", { value: most }, most ? `${count(most)} questions` : `all ${count(setup.questions)} questions`)));

  const dash = (value, format) => (value === null || value === undefined ? "" : format(value));
  const milliseconds = (value) => (value < 10 ? fixed(value, 2) : value < 100 ? fixed(value, 1) : count(Math.round(value)));
  const bytes = (value) => (value < 1e6 ? fixed(value / 1e3, 0) + " kB" : value < 1e9 ? fixed(value / 1e6, 1) + " MB" : fixed(value / 1e9, 1) + " GB");
  const duration = (value) => (value < 60 ? fixed(value, 1) + " s" : value < 3600 ? fixed(value / 60, 0) + " min" : fixed(value / 3600, 1) + " h");
  const measures = (rows) => [["recall_10", "Recall of the exact first 10"], ["recall_100", "Recall of the exact first 100"], ...Object.keys(rows.find((r) => !r.error)?.metrics || {}).map((name) => [name, name.replace("ndcg", "nDCG") + " against judgements"])];
  const value = (row) => row[quality] ?? row.metrics[quality];

  const frontier = (rows) => {
    const done = rows.filter((row) => !row.error && value(row) !== undefined);
    const width = Math.max(300, Math.min(1060, element.clientWidth - 110)), height = 330, left = 46, bottom = 40;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Milliseconds against quality: " + done.map((row) => `${row.name} ${milliseconds(row.p50)} ms, ${fixed(value(row), 3)}`).join("; ") });
    if (!done.length) return root;
    const times = done.map((row) => Math.log10(row.p50)), values = done.map(value);
    let [low, high] = [Math.min(...times) - .15, Math.max(...times) + .35], [under, over] = [Math.min(...values), Math.max(...values)];
    const slack = Math.max((over - under) * .18, .01);
    under -= slack; over += slack;
    const x = (time) => left + ((Math.log10(time) - low) / (high - low)) * (width - left - 20), y = (v) => 12 + ((over - v) / (over - under)) * (height - bottom - 20);
    const unit = [.2, .1, .05, .02, .01, .005].find((size) => (over - under) / size >= 3) || .005;
    for (let at = Math.ceil(under / unit) * unit; at <= over + 1e-9; at += unit) {
      if (quality.startsWith("recall") && at > 1 + 1e-9) break;
      root.append(svg("line", { x1: left, x2: width, y1: y(at), y2: y(at), stroke: "var(--line)" }), svg("text", { x: left - 8, y: y(at) + 4, "text-anchor": "end" }, fixed(at, unit < .01 ? 3 : 2)));
    }
    for (let power = Math.floor(low) - 1; power <= high; power++) [1, 2, 5].forEach((step) => {
      const time = step * 10 ** power, at = Math.log10(time);
      if (at < low || at > high) return;
      root.append(svg("line", { x1: x(time), x2: x(time), y1: 6, y2: height - bottom, stroke: "var(--line)", "stroke-dasharray": "2 4" }), svg("text", { x: x(time), y: height - bottom + 18, "text-anchor": "middle" }, String(+time.toPrecision(2))));
    });
    root.append(svg("text", { x: width, y: height - 4, "text-anchor": "end" }, "milliseconds a question, median, logarithmic"));
    const best = [...done].sort((a, b) => a.p50 - b.p50).filter((row, i, all) => all.slice(0, i).every((before) => value(before) < value(row)));
    root.append(svg("path", { d: "M" + best.map((row, i) => (i ? `${x(row.p50)},${y(value(best[i - 1]))}L` : "") + `${x(row.p50)},${y(value(row))}`).join("L"), fill: "none", stroke: "var(--accent)", "stroke-width": 1.5, "stroke-dasharray": "4 4" }));
    const most = Math.max(...done.map((row) => row.per_token));
    const placed = [];
    done.forEach((row) => {
      const [px, py] = [x(row.p50), y(value(row))], on = row.name === chosen, radius = 5 + 13 * Math.sqrt(row.per_token / most);
      const dot = svg("circle", { class: "point", "data-name": row.name, cx: px, cy: py, r: radius, fill: on ? "var(--accent2)" : "rgba(var(--heat),.55)", stroke: "var(--card)", "stroke-width": 1.5, style: "cursor:pointer" });
      dot.addEventListener("click", () => choose(row.name));
      let ty = py - radius - 6;
      while (placed.some(([ox, oy]) => Math.abs(ox - px) < 110 && Math.abs(oy - ty) < 15)) ty -= 15;
      if (ty < 12) { ty = py + radius + 16; while (placed.some(([ox, oy]) => Math.abs(ox - px) < 110 && Math.abs(oy - ty) < 15)) ty += 15; }
      placed.push([px, ty]);
      const anchor = px > width - 90 ? "end" : px < left + 60 ? "start" : "middle";
      root.append(dot, svg("text", { x: px, y: ty, "text-anchor": anchor, class: "v" }, `${row.name} ${milliseconds(row.p50)} ms`));
    });
    return root;
  };

  const table = (rows) => {
    const metrics = Object.keys(rows.find((row) => !row.error)?.metrics || {});
    const heads = ["recall@10", "recall@100", ...metrics.map((name) => name.replace("ndcg", "nDCG")), "p50 ms", "p95 ms", "questions/s", "bytes a token", "size", "build", "memory", "size at 1 M documents"];
    const cells = (row) => [dash(row.recall_10, (v) => fixed(v, 3)), dash(row.recall_100, (v) => fixed(v, 3)), ...metrics.map((name) => dash(row.metrics[name], (v) => fixed(v, 3))), dash(row.p50, milliseconds), dash(row.p95, milliseconds),
      dash(row.per_second, (v) => count(Math.round(v))), dash(row.per_token, (v) => fixed(v, v < 100 ? 1 : 0)), dash(row.bytes, bytes), dash(row.build, duration), dash(row.memory, bytes), dash(row.million_bytes, bytes)];
    return el("div", { class: "scroll" }, el("table", { class: "plain records" }, el("caption", { class: "hidden" }, "Measured indexes"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Index"), heads.map((head) => el("th", { scope: "col", class: "n" }, head)))),
      el("tbody", {}, rows.map((row) => el("tr", { "aria-selected": String(row.name === chosen), on: { click: () => choose(row.name) } },
        el("th", { scope: "row" }, el("button", { type: "button" }, row.name)),
        row.error ? el("td", { colspan: String(heads.length) }, row.error) : cells(row).map((cell) => el("td", { class: "n" }, cell)))))));
  };

  const facts = (row) => {
    const list = el("dl", { class: "facts" });
    const add = (name, ...text) => list.append(el("dt", {}, name), el("dd", {}, ...text));
    add("Settings", el("span", { class: "mono" }, row.spec));
    if (row.can.length) add("It can", row.can.join(", "));
    if (row.cannot.length) add("It cannot", row.cannot.join(", "));
    if (!row.error) {
      add("Milliseconds", `half of the questions took at most ${milliseconds(row.p50)}, 95% at most ${milliseconds(row.p95)}, 99% at most ${milliseconds(row.p99)}`);
      add("1 million documents", `about ${bytes(row.million_bytes)} and ${duration(row.million_build)} to build, if both grow in proportion`);
    }
    Object.entries(row.defaults).forEach(([name, text]) => add(name, text));
    row.notes.forEach((note) => add("Note", note));
    const { versions = {}, machine = {}, threads, k, queries } = current.shared;
    add("Conditions", `${queries} questions, ${k} results each, ${threads} threads; ` + Object.values(machine).join(", ") + "; " + Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "));
    return el("div", { class: "card" }, el("h2", {}, row.name), row.error ? el("div", { class: "problem" }, row.error) : null, list);
  };

  const choose = (name) => { chosen = name; address.write({ index: name }); draw(); };
  const draw = () => {
    const { status, rows, step, error } = current, running = status === "running" || pending;
    start.disabled = running; stop.hidden = !running;
    said.textContent = pending ? "Waiting for the machine" : status === "running" ? step : status === "stopped" ? "Stopped; what is finished stays." : status === "empty" ? "Nothing measured yet. It takes a minute or two; rows fill in as they finish." : "";
    if (!rows.length) find(".result").replaceChildren(...(error ? [el("div", { class: "problem", role: "alert" }, error)] : []));
    else {
      const choice = el("select", { "aria-label": "Quality", on: { change: () => { quality = choice.value; address.write({ y: quality === "recall_10" ? "" : quality }); draw(); } } }, measures(rows).map(([name, label]) => el("option", { value: name }, label)));
      if (!measures(rows).some(([name]) => name === quality)) quality = "recall_10";
      choice.value = quality;
      find(".result").replaceChildren(el("div", { class: "card" }, el("div", { class: "head" }, el("h2", {}, "Up and to the left is better; the area of a dot is its bytes a token"), choice), frontier(rows)),
        el("div", { class: "card" }, el("h2", {}, "Measured"), table(rows), error ? el("div", { class: "problem", role: "alert" }, error) : ""));
    }
    const row = rows.find((one) => one.name === chosen);
    find(".chosen").replaceChildren(...(row ? [facts(row)] : []));
  };

  start.addEventListener("click", () => {
    pending = true;
    current = { ...current, rows: [], error: "", status: "running", step: "" };
    draw();
    trigger("compare", { specs: [...boxes.filter((box) => box.checked).map((box) => box.value), ...(extra.value.trim() ? [extra.value.trim()] : [])], matched: matched.checked, queries: Number(limit.value) });
  });
  stop.addEventListener("click", () => { trigger("halt", {}); said.textContent = "Stopping"; });
  watch("value", () => { pending = false; current = props.value.run; draw(); });
  let width = element.clientWidth;
  new ResizeObserver(() => { if (Math.abs(element.clientWidth - width) > 20) { width = element.clientWidth; draw(); } }).observe(element);
  draw();
  server.last({}).then((run) => { if (!pending && current.status === "empty") { current = run; draw(); } });
};
