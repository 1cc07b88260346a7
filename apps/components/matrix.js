/* The similarity matrix of a pair on a canvas: every query unit against every document unit, maxima outlined. */
(() => {
  const { el, colour, fixed } = LIW;
  const CELL = { least: 14, most: 26, h: 18, gap: 1 };
  const LETTER = 6.8,
    LONGEST = 13; // pixels of a letter, and letters of the longest name below
  const WIDEST = 16000; // pixels that a canvas may have in every browser
  const LARGE = 1.8; // times as large for a projector

  const paint = (canvas, view, rows, columns, best, { w, h, zoom }) => {
    const names = columns
      .map((column) => view.document[column].text)
      .map((text) => (text.length > LONGEST ? text.slice(0, LONGEST - 1) + "…" : text));
    const foot = 10 + zoom * LETTER * Math.max(3, ...names.map((text) => text.length));
    const width = columns.length * w + 8,
      height = Math.ceil(rows.length * h + foot);
    const scale = Math.min(window.devicePixelRatio || 1, WIDEST / width);
    canvas.width = Math.ceil(width * scale);
    canvas.height = Math.ceil(height * scale);
    Object.assign(canvas.style, { width: width + "px", height: height + "px" });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const heat = colour("heat"),
      shades = Array.from({ length: 101 }, (_, i) => `rgba(${heat},${i / 100})`);
    rows.forEach((row, y) => {
      const values = view.similarity[row];
      columns.forEach((column, x) => {
        pen.fillStyle = shades[LIW.scores.shade(values[column])];
        pen.fillRect(x * w, y * h, w - CELL.gap, h - CELL.gap);
      });
    });
    pen.lineWidth = 2;
    pen.strokeStyle = colour("accent2");
    rows.forEach((_, y) =>
      best[y].forEach((x) => {
        if (x !== undefined) pen.strokeRect(x * w + 0.5, y * h + 0.5, w - 2, h - 2);
      }),
    );
    pen.font = `${11 * zoom}px ${colour("mono")}`;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillStyle = colour("soft");
    names.forEach((text, x) => {
      pen.save();
      pen.translate(x * w + w / 2, rows.length * h + 6);
      pen.rotate(-Math.PI / 2);
      pen.fillText(text, 0, 0);
      pen.restore();
    });
  };

  /* room: pixels; onRow(row) is told which row was chosen. Returns {node, select, canvas}. */
  LIW.parts.matrix = (view, rows, columns, room, onRow) => {
    const zoom = document.body.classList.contains("presenting") ? LARGE : 1,
      h = CELL.h * zoom;
    const fits = Math.floor((room - 150 * zoom) / Math.max(columns.length, 1)),
      w = Math.min(CELL.most * zoom, Math.max(CELL.least * zoom, fits));
    const canvas = el("canvas");
    const cursor = el("i", { class: "cursor", hidden: true }),
      mark = el("i", { class: "mark", hidden: true });
    const names = el("div", { class: "rows", "aria-hidden": "true" });
    const pane = el(
      "div",
      {
        class: "pane",
        tabindex: "0",
        role: "group",
        "aria-roledescription": "heatmap",
        "aria-label":
          `Similarity of ${rows.length} query tokens and ${columns.length} document tokens. ` +
          "Arrow keys read the cells, Enter chooses the query token; the table below holds the matches.",
      },
      el("div", { class: "sheet" }, canvas, mark, cursor),
    );
    const readout = el("div", { class: "readout", "aria-live": "polite" });
    const box = el("div", { class: "matrix", style: { "--zoom": zoom } }, names, pane);
    const at = { row: -1, column: -1 };
    const place = new Map(columns.map((column, x) => [column, x]));
    const best = rows.map((row) => new Set(view.best[row].map((column) => place.get(column))));
    rows.forEach((row) =>
      names.append(el("div", { title: view.query[row].text, on: { click: () => onRow(row) } }, view.query[row].text)),
    );

    const hint = el("span", {}, "Point at a cell, or focus the matrix and use the arrow keys.");
    readout.append(hint);
    const point = (x, y) => {
      if (x < 0 || y < 0 || x >= columns.length || y >= rows.length) x = y = -1;
      if (x === at.column && y === at.row) return;
      Object.assign(at, { row: y, column: x });
      cursor.hidden = y < 0;
      if (y < 0) {
        readout.replaceChildren(hint);
        return;
      }
      Object.assign(cursor.style, {
        left: x * w - 1 + "px",
        top: y * h - 1 + "px",
        width: w + 1 + "px",
        height: h + 1 + "px",
      });
      readout.replaceChildren(
        el("b", {}, view.query[rows[y]].text),
        " and ",
        el("b", {}, view.document[columns[x]].text),
        ": similarity " +
          fixed(view.similarity[rows[y]][columns[x]], 3) +
          (best[y].has(x) ? ", the best match of this query token" : ""),
      );
    };
    const cell = (event) => [Math.floor(event.offsetX / w), Math.floor(event.offsetY / h)];
    canvas.addEventListener("pointermove", (event) => point(...cell(event)));
    canvas.addEventListener("pointerleave", () => point(-1, -1));
    canvas.addEventListener("click", (event) => {
      const y = cell(event)[1];
      if (y < rows.length) onRow(rows[y]);
    });
    pane.addEventListener("keydown", (event) => {
      const to = LIW.scores.moved(event.key, at.column, at.row, columns.length, rows.length);
      if (to) {
        event.preventDefault();
        const [x, y] = to;
        point(x, y);
        pane.scrollLeft = Math.max(0, Math.min(pane.scrollLeft, x * w), (x + 1) * w - pane.clientWidth);
      } else if (event.key === "Enter" && at.row >= 0) onRow(rows[at.row]);
    });
    const more = () => box.classList.toggle("more", pane.scrollLeft + pane.clientWidth < pane.scrollWidth - 4);
    pane.addEventListener("scroll", more, { passive: true });
    const draw = () => paint(canvas, view, rows, columns, best, { w, h, zoom });
    const looks = new MutationObserver(() => (canvas.isConnected ? draw() : looks.disconnect()));
    looks.observe(document.body, { attributeFilter: ["class"] });
    draw();
    requestAnimationFrame(more);
    return {
      node: el("div", {}, box, readout),
      canvas,
      select: (row) => {
        const y = rows.indexOf(row);
        [...names.children].forEach((name, i) => name.classList.toggle("on", i === y));
        mark.hidden = y < 0;
        Object.assign(mark.style, {
          top: y * h - 2 + "px",
          height: h + 1 + "px",
          width: columns.length * w + "px",
        });
      },
    };
  };
})();
