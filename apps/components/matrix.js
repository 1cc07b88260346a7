/* The similarity matrix of a pair on a canvas: every query unit against every document unit, maxima outlined. */
(() => {
  const { el, colour, fixed } = LIW;
  const CELL = { w: 16, h: 18, gap: 1 };
  const FOOT = 92;

  /* view: {query, document, similarity, best}; onRow(row) when a row is chosen. Returns {node, select, canvas}. */
  LIW.parts.matrix = (view, rowsShown, columnsShown, onRow) => {
    const canvas = el("canvas");
    const names = el("div", { class: "rows", "aria-hidden": "true" });
    const pane = el("div", { class: "pane" }, canvas);
    const readout = el("div", { class: "readout", "aria-live": "polite" });
    const box = el("div", {
      class: "matrix", tabindex: "0", role: "group", "aria-roledescription": "heatmap",
      "aria-label": `Similarity of ${rowsShown.length} query tokens and ${columnsShown.length} document tokens. `
        + "Arrow keys read the cells, Enter chooses the query token; the table below holds the matches.",
    }, names, pane);
    const state = { row: -1, column: -1, chosen: -1 };
    const columnAt = new Map(columnsShown.map((column, x) => [column, x]));
    const best = rowsShown.map((row) => new Set(view.best[row].map((column) => columnAt.get(column))));
    rowsShown.forEach((row) => names.append(
      el("div", { title: view.query[row].text, on: { click: () => onRow(row) } }, view.query[row].text)));

    const draw = () => {
      const width = columnsShown.length * CELL.w + 8, height = rowsShown.length * CELL.h + FOOT;
      const scale = Math.min(window.devicePixelRatio || 1, 16000 / width);
      canvas.width = Math.ceil(width * scale); canvas.height = Math.ceil(height * scale);
      canvas.style.width = width + "px"; canvas.style.height = height + "px";
      const pen = canvas.getContext("2d");
      pen.scale(scale, scale);
      const heat = colour("heat"), outline = colour("accent2"), soft = colour("soft"), ink = colour("ink");
      rowsShown.forEach((row, y) => {
        const values = view.similarity[row];
        columnsShown.forEach((column, x) => {
          pen.fillStyle = `rgba(${heat},${Math.min(1, Math.max(.035, (values[column] - .05) * 1.1)).toFixed(3)})`;
          pen.fillRect(x * CELL.w, y * CELL.h, CELL.w - CELL.gap, CELL.h - CELL.gap);
        });
      });
      pen.lineWidth = 2; pen.strokeStyle = outline;
      rowsShown.forEach((row, y) => best[y].forEach((x) => {
        if (x !== undefined) pen.strokeRect(x * CELL.w + .5, y * CELL.h + .5, CELL.w - 2, CELL.h - 2);
      }));
      if (state.chosen >= 0) {
        pen.fillStyle = outline; pen.fillRect(0, (state.chosen + 1) * CELL.h - 1.5, columnsShown.length * CELL.w, 1.5);
      }
      if (state.row >= 0) {
        pen.strokeStyle = ink; pen.lineWidth = 1.5;
        pen.strokeRect(state.column * CELL.w - .5, state.row * CELL.h - .5, CELL.w, CELL.h);
      }
      pen.font = `11px ${colour("mono")}`; pen.textBaseline = "middle"; pen.textAlign = "right";
      columnsShown.forEach((column, x) => {
        pen.fillStyle = x === state.column ? ink : soft;
        pen.save();
        pen.translate(x * CELL.w + CELL.w / 2, rowsShown.length * CELL.h + 6);
        pen.rotate(-Math.PI / 2);
        const text = view.document[column].text;
        pen.fillText(text.length > 13 ? text.slice(0, 12) + "…" : text, 0, 0);
        pen.restore();
      });
    };

    const point = (x, y) => {
      if (x < 0 || y < 0 || x >= columnsShown.length || y >= rowsShown.length) { x = y = -1; }
      if (x === state.column && y === state.row) return;
      state.column = x; state.row = y;
      if (y < 0) { readout.replaceChildren(hint); }
      else {
        const row = rowsShown[y], column = columnsShown[x], value = view.similarity[row][column];
        readout.replaceChildren(el("b", {}, view.query[row].text), " and ", el("b", {}, view.document[column].text),
          ": similarity " + fixed(value, 3) + (best[y].has(x) ? ", the best match of this query token" : ""));
      }
      draw();
    };
    const hint = el("span", {}, "Point at a cell, or focus the matrix and use the arrow keys.");
    readout.append(hint);
    const place = (event) => [Math.floor(event.offsetX / CELL.w), Math.floor(event.offsetY / CELL.h)];
    canvas.addEventListener("pointermove", (event) => point(...place(event)));
    canvas.addEventListener("pointerleave", () => point(-1, -1));
    canvas.addEventListener("click", (event) => { const y = place(event)[1]; if (y < rowsShown.length) onRow(rowsShown[y]); });
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (step) {
        event.preventDefault();
        const x = Math.min(Math.max(state.column + step[0], 0), columnsShown.length - 1);
        const y = Math.min(Math.max(state.row + step[1], 0), rowsShown.length - 1);
        point(x, y);
        pane.scrollLeft = Math.max(0, Math.min(pane.scrollLeft, x * CELL.w), (x + 1) * CELL.w - pane.clientWidth);
      } else if (event.key === "Enter" && state.row >= 0) onRow(rowsShown[state.row]);
    });
    new MutationObserver(() => { if (canvas.isConnected) draw(); }).observe(document.body, { attributeFilter: ["class"] });
    draw();
    return {
      node: el("div", {}, box, readout), canvas,
      select: (row) => {
        state.chosen = rowsShown.indexOf(row);
        [...names.children].forEach((name, y) => name.classList.toggle("on", y === state.chosen));
        draw();
      },
    };
  };
})();
