/* A page as a file: a copy that opens offline and still reacts, or a picture. */
(() => {
  const SCALE = 2,
    MOST_PIXELS = 48e6;
  const fileName = (suffix) => {
    const { doc, index } = LIW.address.read();
    return `${LIW.page.name}-${(doc || index || "page").replace(/[^\w.-]+/g, "_").slice(0, 60)}.${suffix}`;
  };
  const today = () => new Date().toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });

  LIW.savePage = async () => {
    await LIW.page.complete(); // asks for what a reader of the copy will want to open
    const { name, props, template } = LIW.page;
    const { style, script: scripts } = await LIW.sources();
    const library = window.Plotly ? await LIW.plotly() : "";
    const state = {
      name,
      template,
      search: location.search,
      theme: LIW.theme(),
      value: props.value,
      answers: [...LIW.answers],
    };
    const json = JSON.stringify(state)
      .replace(/</g, "\\u003c")
      .replace(/\u2028/g, "\\u2028")
      .replace(/\u2029/g, "\\u2029");
    const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";
    const script = (content, attributes = "") => `<script${attributes}>${content}</scr` + "ipt>";
    const page = [
      '<!doctype html><html lang="en"><head><meta charset="utf-8">',
      '<meta name="viewport" content="width=device-width,initial-scale=1">',
      `<meta http-equiv="Content-Security-Policy" content="${policy}"><title>Late Interaction Workbench</title>`,
      `<style id="liw-style">${style}</style></head>`,
      '<body class="saved"><header class="liw bar-top"><b>Late Interaction Workbench</b>',
      `<span class="note">saved on ${today()}</span><button type="button" class="tool theme"></button></header>`,
      '<main id="liw-root"></main>',
      script(json, ' type="application/json" id="liw-saved"'),
      script(library),
      script(scripts, ' id="liw-script"'),
      script("LIW.reopen()"),
      "</body></html>",
    ].join("\n");
    LIW.save(fileName("html"), new Blob([page], { type: "text/html" }));
    return `Saved, ${(page.length / 1e6).toFixed(1)} MB`;
  };

  /* A copy of a node in which everything is drawn without the page around it. */
  const still = async (node) => {
    const copy = node.cloneNode(true);
    const pairs = (selector, change) =>
      [...node.querySelectorAll(selector)].forEach((from, i) => change(from, copy.querySelectorAll(selector)[i]));
    const images = [];
    pairs("canvas", (from, to) => {
      const image = LIW.el("img", {
        src: from.toDataURL(),
        width: from.clientWidth,
        height: from.clientHeight,
        style: { display: "block" },
      });
      images.push([to, image]);
    });
    pairs("input", (from, to) => {
      to.setAttribute("value", from.value);
      if (from.checked) to.setAttribute("checked", "");
      else to.removeAttribute("checked");
    });
    pairs("textarea", (from, to) => (to.textContent = from.value));
    pairs("select", (from, to) => {
      [...to.options].forEach((option, i) =>
        i === from.selectedIndex ? option.setAttribute("selected", "") : option.removeAttribute("selected"),
      );
    });
    const plots = [...node.querySelectorAll(".plot.js-plotly-plot")],
      targets = copy.querySelectorAll(".plot.js-plotly-plot");
    for (const [i, plot] of plots.entries()) {
      const size = { width: plot.clientWidth, height: plot.clientHeight };
      const image = LIW.el("img", {
        src: await window.Plotly.toImage(plot, { format: "svg", ...size }),
        ...size,
        style: { display: "block" },
      });
      images.push([targets[i], image]);
    }
    images.forEach(([to, image]) => to.replaceWith(image));
    return copy;
  };

  /* A node as SVG text, with its size; text stays text, and it scales. */
  LIW.drawing = async (node) => {
    const width = Math.ceil(node.getBoundingClientRect().width),
      height = Math.ceil(node.scrollHeight);
    const body = document.createElementNS("http://www.w3.org/1999/xhtml", "body");
    body.className = LIW.theme();
    const style = document.createElementNS("http://www.w3.org/1999/xhtml", "style");
    style.textContent =
      (await LIW.sources()).style +
      "*{animation:none!important;transition:none!important} body{margin:0;background:var(--paper)} " +
      ".columns>section:first-child{max-height:none!important} ::-webkit-scrollbar{display:none}";
    const frame = LIW.el("div", { class: "liw" });
    frame.append(await still(node));
    body.append(style, frame);
    const drawn = new XMLSerializer().serializeToString(body);
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
      `<foreignObject width="100%" height="100%">${drawn}</foreignObject></svg>`;
    return { svg, width, height };
  };
  /* A node as a PNG. */
  LIW.picture = async (node) => {
    const { svg, width, height } = await LIW.drawing(node);
    const image = new Image();
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
    await image.decode();
    const scale = Math.min(SCALE, Math.sqrt(MOST_PIXELS / (width * height)));
    const canvas = LIW.el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.drawImage(image, 0, 0);
    return new Promise((resolve, reject) =>
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser drew nothing"))), "image/png"),
    );
  };
  LIW.saveDrawing = async () => {
    const { svg } = await LIW.drawing(LIW.page.element.querySelector(".page"));
    LIW.save(fileName("svg"), new Blob([svg], { type: "image/svg+xml" }));
    return "Saved";
  };
  LIW.savePicture = async () => {
    LIW.save(fileName("png"), await LIW.picture(LIW.page.element.querySelector(".page")));
    return "Saved";
  };
})();
