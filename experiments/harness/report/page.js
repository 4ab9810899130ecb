"use strict";
(() => {
  const root = document.documentElement, tip = document.getElementById("tip");

  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.getElementById("theme").addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; });

  // A click on a heading sorts its table, and a second one the other way round. Cells without a value stay last.
  const compare = (a, b) => (a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b));
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const heading = button.parentElement, body = heading.closest("table").tBodies[0], column = heading.cellIndex;
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value;
      body.append(...[...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return (x === "") - (y === "") || (up ? compare(x, y) : compare(y, x));
      }));
    });
  }

  // The point next to the pointer, or the next one by the arrow keys, says its value.
  const dots = (chart) => [...chart.querySelectorAll(".series:not(.off) .dot")];
  const hide = (chart) => {
    tip.hidden = true;
    chart.classList.remove("dimmed");
    for (const near of chart.querySelectorAll(".near")) near.classList.remove("near");
  };
  const show = (chart, dot) => {
    hide(chart);
    chart.classList.add("dimmed");
    dot.parentElement.classList.add("near");
    tip.textContent = dot.dataset.tip;
    tip.hidden = false;
    const at = dot.getBoundingClientRect(), box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(at.x + 12, innerWidth - box.width - 4)) + "px";
    tip.style.top = Math.max(4, at.y - box.height - 8) + "px";
  };
  for (const chart of document.querySelectorAll(".chart")) {
    let current = -1;
    const point = (event) => {
      const inverse = chart.getScreenCTM().inverse(), at = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
      const away = (dot) => Math.hypot(dot.cx.baseVal.value - at.x, dot.cy.baseVal.value - at.y);
      const near = dots(chart).reduce((best, dot) => (best === null || away(dot) < away(best) ? dot : best), null);
      if (near && away(near) < 30) show(chart, near); else hide(chart);
    };
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    for (const name of ["pointerleave", "blur"]) chart.addEventListener(name, () => hide(chart));
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], all = dots(chart);
      if (!step || !all.length) return;
      event.preventDefault();
      current = (current + step + all.length) % all.length;
      show(chart, all[current]);
    });
  }

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      for (const line of button.closest(".comparison").querySelectorAll(".series")) {
        if (line.dataset.line === button.dataset.line) line.classList.toggle("off", !on);
      }
    });
  }
})();
