/* The bar on top of a page: the other pages, saving what is seen, light or dark. */
LIW.pages.bar = ({ element, props }) => {
  const { el } = LIW;
  const find = (selector) => element.querySelector(selector);
  LIW.startTheme();
  document.documentElement.lang = "en";
  const root = LIW.root();
  const here = location.pathname.replace(/\/+$/, ""),
    on = LIW.address.read().on;
  find("nav").append(
    ...props.value.map(({ name, path }) => {
      const url = new URL(root + "/" + path);
      const current = url.pathname.replace(/\/+$/, "") === here;
      return el(
        "a",
        {
          href: url.pathname + (on ? "?on=" + encodeURIComponent(on) : ""),
          "aria-current": current ? "page" : undefined,
        },
        name,
      );
    }),
  );
  find("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  const menu = find(".menu"),
    told = find(".told");
  const choice = (selector, run) =>
    find(selector).addEventListener("click", async (event) => {
      const button = event.currentTarget,
        before = [...button.childNodes];
      button.disabled = true;
      button.replaceChildren("One moment");
      try {
        told.textContent = button.textContent = await run();
      } catch (error) {
        told.textContent = button.textContent = "This did not work: " + error.message;
      }
      setTimeout(() => {
        button.replaceChildren(...before);
        button.disabled = false;
        menu.open = false;
      }, 1400);
    });
  choice(".as-page", LIW.savePage);
  choice(".as-picture", LIW.savePicture);
  choice(".as-drawing", LIW.saveDrawing);
  choice(".as-link", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      return "Copied";
    } catch {
      return "Copy it from the address bar";
    }
  });
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.open = false;
      menu.firstElementChild.focus();
    }
  });
  LIW.themeButton(find(".theme"));
};
