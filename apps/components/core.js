/* Shared by every page: elements without markup, the address, numbers, the theme. */
(() => {
  const LIW = (window.LIW = /** @type {Liw} */ ({ pages: {}, parts: {} }));

  /* An element. Children are nodes or strings, and a string is only ever text. */
  LIW.el = (tag, options = {}, ...children) => {
    const node = /** @type {any} */ (document.createElement(tag));
    for (const [key, value] of Object.entries(options)) {
      if (value === undefined || value === null || value === false) continue;
      if (key === "class") node.className = value;
      else if (key === "on") for (const [name, run] of Object.entries(value)) node.addEventListener(name, run);
      else if (key === "style") for (const [name, text] of Object.entries(value)) node.style.setProperty(name, text);
      else if (key === "value") node.value = value;
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(
      .../** @type {any[]} */ (children).flat(Infinity).filter((child) => child !== null && child !== undefined),
    );
    return node;
  };

  /* A saved copy of a page holds its state; a live page has it in its address, so that a copied link reopens it. */
  const copy = document.getElementById("liw-saved");
  LIW.saved = copy ? JSON.parse(copy.textContent) : null;
  LIW.address = {
    read: () => Object.fromEntries(new URLSearchParams(LIW.saved ? LIW.saved.search : location.search)),
    write: (state, push = false) => {
      const query = new URLSearchParams(LIW.saved ? LIW.saved.search : location.search);
      for (const [key, value] of Object.entries(state)) {
        if (value === null || value === undefined || value === "") query.delete(key);
        else query.set(key, String(value));
      }
      if (LIW.saved) {
        LIW.saved.search = "?" + query;
        return;
      }
      const url = location.pathname + (query.size ? "?" + query : "");
      if (url !== location.pathname + location.search) history[push ? "pushState" : "replaceState"]({}, "", url);
    },
  };

  /* What a run that fills in rows says of itself; `empty` before there was one. */
  LIW.stage = (status, step, empty) => {
    const told = {
      pending: "Waiting for the machine",
      stopped: "Stopped; what is finished stays.",
      running: step,
      empty,
    };
    return told[status] || "";
  };

  /* What a saved copy holds of the page's own styles and scripts. */
  LIW.sources = async () => ({
    style: document.getElementById("liw-style").textContent,
    script: document.getElementById("liw-script").textContent,
  });

  /* Where the application answers; a proxy may put it below a path. */
  LIW.root = () => (window.gradio_config?.root || location.origin).replace(/\/+$/, "");

  /* Whether this is a page of a published site, which has not every page. */
  LIW.isSite = () => document.body.classList.contains("site");

  /* Another page on the same collection. */
  LIW.href = (page, state = {}) => {
    const query = new URLSearchParams(state),
      on = LIW.address.read().on;
    if (on) query.set("on", on);
    return "./" + page + (query.size ? "?" + query : "");
  };

  LIW.fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
  LIW.signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
  LIW.count = (value) => value.toLocaleString("en");
  LIW.questions = (value) => `${LIW.count(value)} question${value === 1 ? "" : "s"}`;
  LIW.milliseconds = (value) =>
    value < 10 ? LIW.fixed(value, 2) : value < 100 ? LIW.fixed(value, 1) : LIW.count(Math.round(value));
  /* Sizes and times in the unit that a person would use. */
  LIW.bytes = (value) => {
    if (value < 1e6) return `${LIW.fixed(value / 1e3, 0)} kB`;
    return value < 1e9 ? `${LIW.fixed(value / 1e6, 1)} MB` : `${LIW.fixed(value / 1e9, 1)} GB`;
  };
  LIW.duration = (seconds) => {
    if (seconds < 90) return `${LIW.fixed(seconds, seconds < 10 ? 1 : 0)} s`;
    return seconds < 5400 ? `${LIW.fixed(seconds / 60, 0)} min` : `${LIW.fixed(seconds / 3600, 1)} h`;
  };

  /* A whole number of an address, or null. */
  LIW.whole = (text) => (/^-?\d+$/.test(text ?? "") ? Number(text) : null);

  LIW.colour = (role) =>
    getComputedStyle(document.body)
      .getPropertyValue("--" + role)
      .trim();
  LIW.added = (unit) => unit.kind !== "text";

  /* Left and right move between the buttons of a group. */
  LIW.roving = (group, selector) =>
    group.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const all = /** @type {HTMLElement[]} */ ([...group.querySelectorAll(selector)]);
      const next = all[all.indexOf(/** @type {HTMLElement} */ (document.activeElement)) + step];
      if (next) {
        next.focus();
        event.preventDefault();
      }
    });

  LIW.save = (name, blob) => {
    const link = LIW.el("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  /* A file as it is, for a reader on the other side to find out its encoding: its name and a data address. */
  LIW.sent = (file) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve({ name: file.name, data: String(reader.result) });
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });

  /* Light or dark: what the person chose, else what the system says. */
  const stored = () => {
    try {
      return localStorage.getItem("liw-theme");
    } catch {
      return null;
    }
  };
  LIW.theme = () => (document.body.classList.contains("dark") ? "dark" : "light");
  LIW.setTheme = (name) => {
    document.body.classList.toggle("dark", name === "dark");
    try {
      localStorage.setItem("liw-theme", name);
    } catch {
      /* private windows keep nothing */
    }
  };
  LIW.startTheme = () => {
    const wanted = LIW.address.read().__theme || stored();
    if (wanted === "dark" || wanted === "light") document.body.classList.toggle("dark", wanted === "dark");
  };
})();
