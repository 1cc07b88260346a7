/* The page Lessons: a list, one lesson with its figure, and a view for a projector that shows a part at a time. */
LIW.pages.learn = ({ element, ask, setup }) => {
  const { el, address } = LIW;
  const list = element.querySelector(".lessons"),
    place = element.querySelector(".lesson");
  const all = setup.lessons,
    from = address.read();
  const state = { lesson: 0, part: 0, present: from.present === "yes" };
  state.lesson = Math.max(
    0,
    all.findIndex((lesson) => lesson.name === from.lesson),
  );
  const remember = (push) =>
    address.write({ lesson: all[state.lesson].name, present: state.present ? "yes" : "" }, push);

  /* `code` and *stress*, the rest as it stands. */
  const words = (text) =>
    text
      .split(/(`[^`]+`|\*[^*]+\*)/)
      .map((part, i) => (i % 2 ? el(part[0] === "`" ? "code" : "em", {}, part.slice(1, -1)) : part));
  const box = (name, head, ...content) => el("section", { class: "part " + name }, el("h2", {}, head), ...content);

  const notebook = (name) => {
    const said = el("span", { class: "note", role: "status" });
    const save = async () => {
      const answer = await ask.notebook({ name });
      if (answer.error) said.textContent = answer.error;
      else LIW.save(answer.name, new Blob([answer.content], { type: "application/x-ipynb+json" }));
    };
    return box(
      "deeper",
      "Deeper",
      el(
        "p",
        { class: "tools" },
        el("button", { type: "button", class: "plainlink", on: { click: save } }, `The notebook ${name}`),
        el("span", { class: "note" }, "also opened by ", el("code", {}, "workbench notebooks")),
        said,
      ),
    );
  };

  const draw = () => {
    const lesson = all[state.lesson];
    document.body.classList.toggle("presenting", state.present);
    list.replaceChildren(
      el(
        "ol",
        {},
        all.map((entry, i) =>
          el(
            "li",
            {},
            el(
              "button",
              {
                type: "button",
                class: "plainlink",
                "aria-current": i === state.lesson ? "step" : undefined,
                on: { click: () => go(i) },
              },
              entry.title,
            ),
          ),
        ),
      ),
    );
    const demo = el("section", { class: "part demo card" });
    const sections = [
      ...lesson.text.map((text, i) => el("section", { class: "part prose" }, el("p", { class: i ? "" : "first" }, words(text)))), // prettier-ignore
      demo,
      box("try", "Try this", el("p", {}, words(lesson.try))),
      box(
        "asked",
        "A question",
        el("p", {}, words(lesson.ask)),
        el("details", {}, el("summary", {}, "The answer"), el("p", {}, words(lesson.answer))),
      ),
      notebook(lesson.notebook),
    ];
    const tool = (label, run, disabled) =>
      el("button", { type: "button", class: "tool", disabled, on: { click: run } }, label);
    const count = el("span", { class: "note num" }, `Lesson ${state.lesson + 1} of ${all.length}`);
    place.replaceChildren(
      el(
        "div",
        { class: "head" },
        el("h1", { tabindex: "-1" }, lesson.title),
        el(
          "div",
          { class: "tools" },
          count,
          tool("Back", () => step(-1), !state.lesson && !(state.present && state.part)),
          tool("Next", () => step(1), state.lesson === all.length - 1 && !state.present),
          tool(state.present ? "End the presentation" : "Present", () => present(!state.present)),
        ),
      ),
      el("p", { class: "note" }, `Live numbers: ${setup.collection}, model ${setup.model}.`),
      ...sections,
    );
    if (state.present) {
      state.part = Math.min(Math.max(state.part, 0), sections.length - 2); // a notebook is not for a projector
      sections.forEach((section, i) => (section.hidden = i !== state.part));
      count.textContent += `, part ${state.part + 1} of ${sections.length - 1}`;
    }
    LIW.demos[lesson.demo]({ place: demo, lesson, ask, setup });
  };

  const go = (lesson, part = 0) => {
    Object.assign(state, { lesson: Math.min(Math.max(lesson, 0), all.length - 1), part });
    remember(true);
    draw();
    place.querySelector("h1").focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  };
  const partsOf = (lesson) => all[lesson].text.length + 3;
  const step = (by) => {
    if (!state.present) return go(state.lesson + by);
    const part = state.part + by;
    if (part >= 0 && part < partsOf(state.lesson)) return go(state.lesson, part);
    const lesson = state.lesson + by;
    return lesson >= 0 && lesson < all.length ? go(lesson, by > 0 ? 0 : partsOf(lesson) - 1) : null;
  };
  const present = (on) => {
    Object.assign(state, { present: on, part: 0 });
    remember(true);
    draw();
    place.querySelector("h1").focus({ preventScroll: true });
  };
  /* Arrow keys move through the presentation, but where they move something else. */
  document.addEventListener("keydown", (event) => {
    if (!state.present || event.defaultPrevented || !element.isConnected) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("input, textarea, select, [role=group], summary") && event.key !== "Escape") return;
    const by = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (by) {
      event.preventDefault();
      step(by);
    } else if (event.key === "Escape") present(false);
  });
  window.addEventListener("popstate", () => {
    const back = address.read();
    state.lesson = Math.max(
      0,
      all.findIndex((lesson) => lesson.name === back.lesson),
    );
    Object.assign(state, { present: back.present === "yes", part: 0 });
    draw();
  });
  draw();
};
