/* How a page begins, what it asks the workbench, and what of that a saved copy holds. */
(() => {
  const { el } = LIW;
  const MOST = 120; // answers kept for saving, the latest
  const GONE = "The workbench does not answer: see whether it still runs in its terminal.";
  const COPY = "This is a saved copy: it holds what was open when it was saved. Open the workbench to ask for more.";
  const answers = new Map(LIW.saved ? LIW.saved.answers : []);
  LIW.answers = answers;

  /* Functions of Python as `ask.name(argument)`: the collection that is open goes along, and answers are remembered. */
  const link = (server) =>
    new Proxy(
      {},
      {
        get:
          (_, /** @type {string} */ name) =>
          async (argument = {}) => {
            const asked = { ...argument, on: LIW.address.read().on || "" };
            const key = name + " " + JSON.stringify(asked);
            if (LIW.saved) return structuredClone(answers.get(key) ?? { error: COPY });
            let answer;
            try {
              answer = await server[name](asked);
            } catch {
              return { error: GONE };
            }
            answers.delete(key);
            answers.set(key, answer);
            if (answers.size > MOST) answers.delete(answers.keys().next().value);
            return answer;
          },
      },
    );

  /* Begin a page. What it needs first is `setup`, what `start` answers. */
  LIW.start = async (name, element, props, server, trigger, watch) => {
    if (name === "bar") {
      LIW.pages.bar({ element, props, ask: {}, send: () => {}, watch, setup: null });
      return;
    }
    LIW.page = { name, element, props, template: element.innerHTML, complete: async () => {} };
    const ask = /** @type {Ask} */ (link(server));
    const send = (event, data = {}) => {
      if (!LIW.saved) trigger(event, { ...data, on: LIW.address.read().on || "" });
    };
    const setup = await ask.start();
    if (setup.error) {
      element.replaceChildren(
        el(
          "div",
          { class: "liw page ready" },
          el(
            "div",
            { class: "card" },
            el("div", { class: "problem", role: "alert" }, setup.error),
            el(
              "p",
              { style: { "margin-top": "12px" } },
              el("a", { href: location.pathname }, "Go on with the collection of this workbench"),
            ),
          ),
        ),
      );
      return;
    }
    LIW.pages[name]({ element, props, ask, send, watch, setup });
    if (setup.made && !["learn", "images"].includes(name)) {
      const first = element.querySelector(".intro, .about") || element.querySelector("h1");
      first?.after(el("p", { class: "note made" }, `${setup.made}: numbers over made questions say less.`));
    }
    const page = element.querySelector(".page");
    if (setup.cut && !page.querySelector(".about")) page.append(el("p", { class: "note unread" }, unread(setup), "."));
    page.classList.add("ready"); // only now a click does what it says
  };

  /* What the model did not read of the documents: every page says it. */
  const unread = (setup) => [
    `${setup.cut}. What was not read cannot be found: `,
    LIW.saved || LIW.isSite()
      ? "windows read it"
      : el("a", { href: LIW.href("own") }, "read long documents in windows"),
  ];

  LIW.problem = (place, text) => place.replaceChildren(el("div", { class: "problem", role: "alert" }, text));

  /* The collection and model that a page works on, in a line. */
  LIW.about = (setup) =>
    el(
      "p",
      { class: "note about" },
      `${setup.collection}: ${LIW.count(setup.documents)} documents, model ${setup.model}`,
      setup.cut ? [". ", unread(setup)] : "",
      setup.own ? [". ", el("a", { href: location.pathname }, "Back to the collection of this workbench")] : "",
    );

  LIW.themeButton = (button) => {
    const name = () => (button.textContent = LIW.theme() === "dark" ? "Light" : "Dark");
    button.addEventListener("click", () => {
      LIW.setTheme(LIW.theme() === "dark" ? "light" : "dark");
      name();
    });
    new MutationObserver(name).observe(document.body, { attributeFilter: ["class"] }); // the system may change it too
    name();
  };

  /* Bring a saved copy to life. */
  LIW.reopen = () => {
    const { name, value, theme, template } = LIW.saved;
    document.body.classList.toggle("dark", theme === "dark");
    LIW.themeButton(document.querySelector(".theme"));
    const element = document.getElementById("liw-root");
    element.innerHTML = template; // our own markup, from the component's file
    LIW.start(name, element, { value }, null, null, () => {});
  };
})();
