"use strict";
// The grid of faults.

let faultRound = 0;

async function runFaults() {
  const round = ++faultRound, began = performance.now();
  const asked = snapshot();
  try {
    const list = await engine.ask("faults", asked);
    const cells = list.map((f) => h("button", { type: "button", title: f.does + " " + f.expects, onclick: () => { fault = f.name; run(); $("right").focus(); } }, f.name));
    fill($("faults"), cells);
    $("faults").classList.remove("old");
    let bad = 0, done = 0;
    for (const [i, f] of list.entries()) {
      if (round !== faultRound) return;
      try {
        const o = await engine.ask("fault", { ...asked, fail: f.name });
        cells[i].className = o.ok ? "good" : "bad";
        cells[i].title += ". " + o.outcome;
        if (!o.ok) bad++;
      } catch (e) { cells[i].className = "bad"; cells[i].title = e.message; bad++; }
      $("faults-state").textContent = `${++done} of ${list.length}`;
    }
    measured.faults = performance.now() - began;
    $("faults-state").textContent = `${plural(list.length, "fault")}, ${bad ? bad + " not as expected" : "all as expected"}, in ${(measured.faults / 1000).toFixed(1)} s`;
  } catch (e) { $("faults-state").textContent = e.message; }
}
