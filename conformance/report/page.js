"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const runs = [...document.querySelectorAll(".run")];
  const search = document.getElementById("search");
  const chosen = { outcome: "", pair: "", profile: "", reason: "", requirement: "", receiver: "" };
  const buttons = document.querySelectorAll("[data-outcome], [data-pair], [data-reason], [data-requirement]");
  const text = (run, selector) => [...run.querySelectorAll(selector)].map((e) => e.textContent).join(" ");

  // What the filters look at, read from the page when a filter is first used.
  let read;
  const facts = () => read ??= runs.map((run) => ({
    run,
    outcome: run.classList[1],
    pair: text(run, "summary .pair"),
    profile: text(run, "summary .profile"),
    reason: text(run, "summary .reason"),
    receiver: run.dataset.to ?? "",
    requirement: (run.dataset.rows ?? "").split("|"),
    words: text(run, "summary").toLowerCase() + " " + run.dataset.words,
  }));

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Object.entries(chosen).filter(([, value]) => value);
    let count = 0;
    for (const fact of facts()) {
      const on = wanted.every(([key, value]) => key === "requirement" ? fact.requirement.includes(value) : fact[key] === value) && words.every((w) => fact.words.includes(w));
      fact.run.hidden = !on;
      if (on) count++;
    }
    document.getElementById("shown").value = count;
    document.getElementById("chosen").replaceChildren(...wanted.map(([, value]) => {
      const e = document.createElement("em");
      e.textContent = value;
      return e;
    }));
    document.getElementById("clear").hidden = count === runs.length;
    for (const b of buttons) b.setAttribute("aria-pressed", isChosen(b));
  }

  // The buttons carry what they choose; a second press undoes it.
  const keys = (b) => Object.keys(chosen).filter((key) => key in b.dataset);
  const isChosen = (b) => keys(b).every((key) => chosen[key] === b.dataset[key]);
  for (const b of buttons) {
    b.addEventListener("click", () => {
      const back = isChosen(b);
      for (const key of keys(b)) chosen[key] = back ? "" : b.dataset[key];
      apply();
      if (!back) document.querySelector(".filter").scrollIntoView();
    });
  }
  const clear = () => {
    for (const key in chosen) chosen[key] = "";
    search.value = "";
    apply();
  };
  search.addEventListener("input", apply);
  document.getElementById("clear").addEventListener("click", clear);
  addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && document.activeElement !== search) {
      e.preventDefault();
      search.focus();
    } else if (e.key === "Escape" && document.activeElement === search) clear();
  });

  // A table that a phone shows as boxes stays a table for a screen reader.
  for (const [selector, role] of [["table", "table"], ["thead, tbody", "rowgroup"], ["tr", "row"], ["td", "cell"], ["th[scope=col]", "columnheader"], ["th[scope=row]", "rowheader"]]) {
    for (const e of document.querySelectorAll(selector.split(", ").map((s) => s === "table" ? "table.stacked" : ".stacked " + s).join(", "))) e.setAttribute("role", role);
  }

  // Each command gets a button that copies it, a run's when the run is opened.
  function copying(line) {
    const code = line.querySelector("code");
    const b = document.createElement("button");
    b.type = "button";
    b.className = "copy";
    b.textContent = "copy";
    const done = () => { b.textContent = "copied"; setTimeout(() => { b.textContent = "copy"; }, 1200); };
    const select = () => { const r = document.createRange(); r.selectNodeContents(code); getSelection().removeAllRanges(); getSelection().addRange(r); };
    b.addEventListener("click", () => {
      if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
      else select();
    });
    line.append(b);
  }
  document.querySelectorAll("header .command").forEach(copying);

  // What a run shows when it is opened lies in blocks, compressed.
  const list = document.getElementById("runs");
  const perBlock = Number(list.dataset.block);
  const blocks = [...document.querySelectorAll(".block")];
  const unpack = async (block) => {
    const octets = Uint8Array.from(atob(block.textContent), (c) => c.charCodeAt(0));
    const plain = new Blob([octets]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  };
  const unpacked = new Map();
  async function fill(run) {
    if (run.dataset.filled) return;
    run.dataset.filled = "yes";
    const n = Number(run.id.slice("run-".length));
    const at = Math.floor(n / perBlock);
    if (!unpacked.has(at)) unpacked.set(at, unpack(blocks[at]));
    run.insertAdjacentHTML("beforeend", (await unpacked.get(at))[n % perBlock]);
    run.querySelectorAll(".command").forEach(copying);
  }
  list.addEventListener("toggle", (e) => { if (e.target.open) fill(e.target); }, true);

  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const tell = () => theme.setAttribute("aria-pressed", dark());
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();

  // A link to #run-12 opens that run.
  const open = () => {
    const run = document.getElementById(location.hash.slice(1));
    if (run instanceof HTMLDetailsElement) {
      run.open = true;
      fill(run).then(() => run.scrollIntoView());
    }
  };
  addEventListener("hashchange", open);
  open();
})();
