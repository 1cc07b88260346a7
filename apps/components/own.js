/* The page Bring your own: texts or files in, a collection that the other pages open by its link. */
LIW.pages.own = ({ element, props, send, watch, setup }) => {
  const { el, count, address } = LIW;
  const find = (selector) => element.querySelector(selector);
  const [form, pasted, files, list, model, hub, start, stop, said, meter] = [
    "form",
    ".pasted",
    "input[type=file]",
    ".chosen-files",
    ".model",
    ".hub",
    ".start",
    ".stop",
    ".progress",
    ".meter",
  ].map(find);
  const { limits } = setup,
    OTHER = "other";
  const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e5 ? 2 : 1) + " MB";
  let chosen = [],
    job = props.value?.job || { status: "empty" };

  find(".intro").textContent =
    "Paste text or choose files. Everything is encoded and indexed on this machine, and all pages can then work " +
    "on it. " +
    `At most ${limits.files} files, ${limits.bytes / 1e6} MB and ${count(limits.documents)} documents; of a PDF ` +
    `${count(limits.pages)} pages.`;
  const [size, overlap] = limits.passages.split(":");
  find(".size").value = size;
  find(".overlap").value = overlap;
  const [window, shared] = limits.windows.split(":");
  find(".window").value = window;
  find(".shared").value = shared;
  find(".making").textContent =
    `Where I give none, make up to ${limits.made} questions from titles and first sentences. They are marked as made: ` +
    "they measure roughly, and rank word matching too high.";
  find(".types").textContent = limits.types.join(", ") + "; or corpus.jsonl, queries.jsonl and judgements in a .tsv";
  find(".opened").textContent = `${setup.collection}, with another model than ${setup.model}`;
  files.accept = limits.types.join(",");
  setup.models.forEach(({ name, label }) => model.append(el("option", { value: name }, label)));
  model.append(el("option", { value: OTHER }, "another, by its name"));
  const from = address.read();
  if (setup.models.some(({ name }) => name === from.model)) model.value = from.model;
  const source = () => find("input[name=source]:checked").value;
  if (["text", "files", "open"].includes(from.source)) find(`input[value=${from.source}]`).checked = true;

  const arrange = () => {
    find(".of-text").hidden = source() !== "text";
    find(".of-files").hidden = source() !== "files";
    find(".of-passages").hidden = find(".cut").value !== "passages";
    find(".of-windows").hidden = find(".long").value !== "windows";
    find(".more-options").hidden = source() === "open";
    find(".other-model").hidden = model.value !== OTHER;
    address.write({
      source: source() === "text" ? "" : source(),
      model: model.value === setup.models[0].name || model.value === OTHER ? "" : model.value,
    });
  };
  const take = (taken) => {
    chosen = [...taken];
    const wrong = chosen.find((file) => !limits.types.some((type) => file.name.toLowerCase().endsWith(type)));
    const size = chosen.reduce((sum, file) => sum + file.size, 0);
    const problem =
      chosen.length > limits.files
        ? `${count(chosen.length)} files are too many: at most ${limits.files}.`
        : wrong
          ? `${wrong.name} is none of ${limits.types.join(", ")}.`
          : size > limits.bytes
            ? `${megabytes(size)} is too much: at most ${limits.bytes / 1e6} MB.`
            : "";
    if (problem) chosen = [];
    list.replaceChildren(
      ...(problem
        ? [el("li", { class: "problem", role: "alert" }, problem)]
        : chosen.slice(0, 8).map((file) => el("li", {}, `${file.name}, ${megabytes(file.size)}`))),
      chosen.length > 8 ? el("li", {}, `and ${chosen.length - 8} more`) : "",
    );
  };

  const ready = (made) => {
    const to = (page, label) =>
      el("a", { class: "tool" + (page ? "" : " main"), href: `./${page}?on=${encodeURIComponent(made.key)}` }, label);
    return el(
      "div",
      { class: "card" },
      el(
        "p",
        { class: "lead" },
        el("b", {}, made.collection),
        " is open: ",
        el("b", {}, count(made.documents)),
        ` documents, ${count(made.tokens)} token vectors, model ${made.model}.`,
      ),
      el(
        "div",
        { class: "tools" },
        to("", "Search it"),
        to("systems", "Systems"),
        to("xray", "X-ray"),
        to("pool", "Pool factor"),
        to("indexes", "Indexes"),
        to("train", "Train"),
        to("images", "Images"),
      ),
      made.cut
        ? el(
            "p",
            { class: "note" },
            `${made.cut}. What was not read cannot be found: choose above that long documents are read in windows, ` +
              "or cut them into shorter passages.",
          )
        : null,
      made.asked
        ? null
        : el(
            "p",
            { class: "note" },
            "It has no questions: searching, explaining and tracing work; measuring needs questions, and quality " +
              "needs judgements.",
          ),
      ...made.notes.map((note) => el("p", { class: "note" }, note)),
    );
  };
  const draw = () => {
    const running = job.status === "running";
    start.disabled = running;
    stop.hidden = !running;
    meter.hidden = !running || !job.total;
    if (job.total) meter.firstElementChild.style.width = (100 * job.done) / job.total + "%";
    said.textContent = running
      ? job.step + (job.total ? `, ${count(job.done)} of ${count(job.total)}` : "")
      : job.status === "stopped"
        ? "Stopped; nothing was opened."
        : "";
    if (job.error) LIW.problem(find(".result"), job.error);
    else if (job.ready) find(".result").replaceChildren(ready(job.ready));
    else find(".result").replaceChildren();
  };

  form.addEventListener("change", arrange);
  files.addEventListener("change", () => take(files.files));
  const drop = find(".drop");
  ["dragover", "drop"].forEach((name) =>
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files);
    }),
  );
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    job = { status: "running", step: "Waiting for the machine" };
    draw();
    const sent = source() === "files" ? await Promise.all(chosen.map(LIW.sent)) : [];
    send("index", {
      source: source(),
      text: source() === "text" ? pasted.value : "",
      files: sent,
      cut: source() === "files" ? find(".cut").value : "",
      size: [find(".size").value, find(".overlap").value, find(".unit").value].filter((part) => part !== "").join(":"),
      make: find(".make").checked,
      name: find(".name-of").value,
      questions: find(".questions").value,
      model: model.value === OTHER ? hub.value.trim() || OTHER : model.value,
      windows: find(".long").value === "windows" ? `${find(".window").value}:${find(".shared").value}` : "",
    });
  });
  stop.addEventListener("click", () => {
    send("halt");
    said.textContent = "Stopping";
  });
  watch("value", () => {
    job = props.value.job;
    draw();
  });
  arrange();
  draw();
};
