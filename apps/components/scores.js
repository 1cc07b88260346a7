/* The arithmetic of an explained pair: nothing of a page in it, so that it is tested without one. */
LIW.scores = {
  /* How much of the score each document unit holds: what it is the best match for, shared where several are. */
  held: (best, contribution, units) => {
    const held = new Array(units).fill(0);
    best.forEach((columns, row) => columns.forEach((column) => (held[column] += contribution[row] / columns.length)));
    return held;
  },

  /* What a query unit matches best, by name; in a long document wherever that stands, in what is shown or not. */
  match: (view, row) => view.match?.[row] ?? view.best[row].map((column) => view.document[column].text).join(", "),

  /* The score after each of some query units. */
  running: (contribution, rows) => {
    let sum = 0;
    return rows.map((row) => (sum += contribution[row]));
  },

  /* What the query units of each kind add, and how many there are: kind -> [sum, number], kinds that are there only. */
  byKind: (view) => {
    const kinds = new Map();
    view.query.forEach((unit, row) => {
      const [sum, number] = kinds.get(unit.kind) ?? [0, 0];
      kinds.set(unit.kind, [sum + view.contribution[row], number + 1]);
    });
    return kinds;
  },

  /* [query unit, what it adds in one document more than in another], largest first. */
  differences: (one, two) =>
    one
      .map((value, row) => /** @type {[number, number]} */ ([row, value - two[row]]))
      .sort(([, first], [, second]) => second - first),

  /* A similarity as one of 100 shades: what is below .05 is hardly seen, so that matches stand out. */
  shade: (similarity) => Math.round(100 * Math.min(1, Math.max(0.035, (similarity - 0.05) * 1.1))),

  /* Where an arrow key leads from a cell, [x, y] within a grid, or null for another key. */
  moved: (key, x, y, columns, rows) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
    if (!step) return null;
    return [Math.min(Math.max(x + step[0], 0), columns - 1), Math.min(Math.max(y + step[1], 0), rows - 1)];
  },
};
