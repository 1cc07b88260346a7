/* A table of words and numbers, the same on every page. */
(() => {
  const { el } = LIW;

  /* columns: [head, class] each, "n" for numbers and "mono" for code; rows: a cell for each, the first names the row.
     foot: the name and the value of the last row; caption: for a screen reader. */
  LIW.parts.listing = (columns, rows, { caption = "", foot = null } = {}) => {
    const head = ([text, kind]) => el("th", { scope: "col", class: kind === "n" ? "n" : "" }, text);
    const cell = (value, i) =>
      i ? el("td", { class: columns[i][1] }, value) : el("th", { scope: "row", class: columns[i][1] }, value);
    const sum = () =>
      el(
        "tr",
        {},
        el("th", { scope: "row", colspan: String(columns.length - 1) }, foot[0]),
        el("td", { class: "n" }, foot[1]),
      );
    return el(
      "div",
      { class: "scroll" },
      el(
        "table",
        { class: "plain" },
        caption ? el("caption", { class: "hidden" }, caption) : null,
        el("thead", {}, el("tr", {}, columns.map(head))),
        el(
          "tbody",
          {},
          rows.map((row) => el("tr", {}, row.map(cell))),
        ),
        foot ? el("tfoot", {}, sum()) : null,
      ),
    );
  };
})();
