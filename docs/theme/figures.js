/* Figures of the tutorials: each keeps its data, and plotly.js, which lies beside this file, draws those that are seen. */
(() => {
  const places = document.querySelectorAll(".figure");
  if (!places.length) return;
  const here = document.currentScript.src;
  let loading = null;
  const plotly = () =>
    (loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("plotly.min.js", here).href;
      script.onload = () => resolve(window.Plotly);
      script.onerror = reject;
      document.head.append(script);
    }));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        const figure = JSON.parse(target.querySelector("script").textContent);
        plotly().then((drawer) => {
          target.replaceChildren();
          drawer.newPlot(
            target,
            figure.data,
            { ...figure.layout, autosize: true },
            { displaylogo: false, responsive: true },
          );
        });
      }
    },
    { rootMargin: "300px" },
  );
  places.forEach((place) => seen.observe(place));
})();
