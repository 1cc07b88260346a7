/* Where a document stands in a longer one, and which documents are searched. */
(() => {
  const { el } = LIW;

  /* shown: a pair with its place; open(id) shows a neighbour; ask.picture gives the page. */
  LIW.parts.place = (shown, open, ask) => {
    const place = shown.place;
    if (!place) return "";
    const step = (id, label) =>
      el(
        "button",
        { class: "tool", type: "button", disabled: id ? undefined : "", on: { click: () => open(id) } },
        label,
      );
    const page = el("div", { class: "page-picture" });
    const look = async (event) => {
      const button = event.currentTarget;
      if (page.firstElementChild?.tagName === "IMG") {
        page.hidden = !page.hidden;
        button.textContent = page.hidden ? "Show the page" : "Hide the page";
        return;
      }
      button.disabled = true;
      const answer = await ask.picture({ document: shown.id });
      button.disabled = false;
      if (answer.error) return LIW.problem(page, answer.error);
      button.textContent = "Hide the page";
      page.replaceChildren(el("img", { src: answer.picture, alt: `The page: ${place.told}` }));
    };
    return el(
      "div",
      { class: "place" },
      el(
        "div",
        { class: "tools" },
        el("span", { class: "note grow" }, place.told),
        step(place.before, "Before it"),
        step(place.after, "After it"),
        place.picture && !LIW.saved
          ? el("button", { class: "tool", type: "button", on: { click: look } }, "Show the page")
          : "",
      ),
      page,
    );
  };

  /* details: where a condition is written; ask.fields names the columns when it is first opened. */
  LIW.parts.where = (details, ask) => {
    const field = details.querySelector("input"),
      columns = details.querySelector(".fields-list");
    let known = false;
    details.addEventListener("toggle", async () => {
      if (!details.open || known || LIW.saved) return;
      known = true;
      const answer = await ask.fields({});
      if (answer.error) return LIW.problem(columns, answer.error);
      columns.replaceChildren(
        "Columns: ",
        ...answer.columns.flatMap(({ name, kind }, i) => [
          i ? ", " : "",
          el("code", {}, name),
          ` ${kind.toLowerCase()}`,
        ]),
      );
    });
    return {
      show: (condition) => {
        field.value = condition;
        if (condition) details.open = true;
      },
      value: () => field.value.trim(),
    };
  };
})();
