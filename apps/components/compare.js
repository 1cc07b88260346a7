/* What the pair that is shown is compared with: another document, and another model. */
(() => {
  const { el, fixed } = LIW;

  /* Why the document that is shown ranks above or below another. */
  LIW.parts.against = ({ hits, shown, state, ask, remember }) => {
    const others = hits.filter((hit) => hit.id !== shown.id);
    if (!others.length) return "";
    const other = others.find((hit) => hit.id === state.vs) || others[0];
    const choose = el(
      "select",
      {
        "aria-label": "Compare with",
        on: {
          change: () => {
            state.vs = choose.value;
            remember();
            draw(choose.value);
          },
        },
      },
      others.map((hit) => el("option", { value: hit.id }, `${hit.rank}  ${hit.title}`)),
    );
    choose.value = other.id;
    const title = el("h2", {}),
      body = el("div");
    const draw = async (name) => {
      const answer = await ask.explain({ question: state.q, document: name });
      if (answer.error) {
        LIW.problem(body, answer.error);
        return;
      }
      const [ahead, behind] = shown.score >= answer.pair.score ? [shown, answer.pair] : [answer.pair, shown];
      title.replaceChildren(`Why ${ahead.id} (${fixed(ahead.score)}) outranks ${behind.id} (${fixed(behind.score)})`);
      body.replaceChildren(...LIW.parts.versus(ahead, behind, state.level));
    };
    draw(other.id);
    return el(
      "div",
      { class: "card against" },
      el("div", { class: "head" }, title, el("label", { class: "note" }, "compare with ", choose)),
      body,
    );
  };

  /* The same pair with a second model, once one is chosen. */
  LIW.parts.otherModel = ({ setup, shown, state, ask, remember }) => {
    const others = setup.models.filter((model) => model.label !== setup.model);
    if (!others.length) return "";
    const choose = el(
      "select",
      {
        "aria-label": "Another model",
        on: {
          change: () => {
            state.model = choose.value;
            remember();
            draw();
          },
        },
      },
      el("option", { value: "" }, "choose a model"),
      others.map((model) => el("option", { value: model.name }, model.label)),
    );
    choose.value = others.some((model) => model.name === state.model) ? state.model : "";
    const body = el("div");
    const draw = async () => {
      if (!choose.value) {
        body.replaceChildren(
          el("p", { class: "note" }, "Choose a second model to see what it matches in this document."),
        );
        return;
      }
      body.replaceChildren(el("p", { class: "note", role: "status" }, "Loading the model"));
      const answer = await ask.second({ question: state.q, document: shown.id, model: choose.value });
      if (answer.error) LIW.problem(body, answer.error);
      else body.replaceChildren(...LIW.parts.twoModels(shown, answer.pair, [setup.model, answer.model]));
    };
    draw();
    return el(
      "div",
      { class: "card models" },
      el("div", { class: "head" }, el("h2", {}, "The same pair with another model"), choose),
      body,
    );
  };
})();
