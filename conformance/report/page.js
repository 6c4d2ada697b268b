"use strict";
(() => {
  const runs = [...document.querySelectorAll(".run")];
  const search = document.getElementById("search");
  const chosen = { outcome: "", pair: "", profile: "" };

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const run of runs) {
      const d = run.dataset;
      const on = (!chosen.outcome || d.outcome === chosen.outcome) && (!chosen.pair || d.pair === chosen.pair) &&
        (!chosen.profile || d.profile === chosen.profile) && words.every((w) => d.search.includes(w));
      run.hidden = !on;
      if (on) count++;
    }
    document.getElementById("shown").value = count;
    const names = document.getElementById("chosen");
    names.replaceChildren(...[chosen.outcome, chosen.pair, chosen.profile].filter(Boolean).map((text) => {
      const e = document.createElement("em");
      e.textContent = text;
      return e;
    }));
    document.getElementById("clear").hidden = count === runs.length;
    for (const b of document.querySelectorAll(".count")) b.setAttribute("aria-pressed", b.dataset.outcome === chosen.outcome);
    for (const b of document.querySelectorAll(".cell")) b.setAttribute("aria-pressed", b.dataset.pair === chosen.pair && b.dataset.profile === chosen.profile);
  }

  for (const b of document.querySelectorAll(".count")) {
    b.addEventListener("click", () => {
      chosen.outcome = chosen.outcome === b.dataset.outcome ? "" : b.dataset.outcome;
      apply();
    });
  }
  for (const b of document.querySelectorAll(".cell")) {
    b.addEventListener("click", () => {
      const same = chosen.pair === b.dataset.pair && chosen.profile === b.dataset.profile;
      chosen.pair = same ? "" : b.dataset.pair;
      chosen.profile = same ? "" : b.dataset.profile;
      apply();
      if (!same) document.querySelector(".filter").scrollIntoView({ behavior: "smooth" });
    });
  }
  search.addEventListener("input", apply);
  document.getElementById("clear").addEventListener("click", () => {
    chosen.outcome = chosen.pair = chosen.profile = search.value = "";
    apply();
  });
  for (const b of document.querySelectorAll(".copy")) {
    b.addEventListener("click", () => {
      const code = b.parentElement.querySelector("code");
      const done = () => { b.textContent = "copied"; setTimeout(() => { b.textContent = "copy"; }, 1200); };
      const select = () => { const r = document.createRange(); r.selectNodeContents(code); getSelection().removeAllRanges(); getSelection().addRange(r); };
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
      else select();
    });
  }
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  // A link to #run-12 opens that run.
  const open = () => {
    const run = document.getElementById(location.hash.slice(1));
    if (run instanceof HTMLDetailsElement) { run.open = true; run.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
})();
