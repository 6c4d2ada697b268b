"use strict";
// What the controls do, and how the page begins.

function trust() { trusted = true; notice(""); }

// ran is Run: what a link showed of an attack is run as well.
function ran() {
  const first = !trusted;
  trust();
  later();
  if (first && attack) openAttack(snapshot(), attack, { key: attack.cell });
}

editor.addEventListener("input", () => { edited(); complete(); });
editor.addEventListener("scroll", scrolled);
for (const e of ["click", "keyup"]) editor.addEventListener(e, where);
editor.addEventListener("blur", hideOffers);
editor.addEventListener("keydown", (e) => {
  if (e.ctrlKey && e.key === " ") { e.preventDefault(); complete(); return; }
  if ((e.ctrlKey || e.metaKey) && e.key === "Enter") { e.preventDefault(); ran(); return; }
  if (!offered.length) return;
  const move = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (move) { e.preventDefault(); picked = (picked + move + offered.length) % offered.length; showOffers(); }
  else if (e.key === "Enter" && picked >= 0) { e.preventDefault(); take(picked); }
  else if (e.key === "Escape") { e.preventDefault(); hideOffers(); }
});
$("choices").addEventListener("submit", (e) => { e.preventDefault(); ran(); });
for (const id of ["attester", "model", "credential", "root_of_trust", "group"]) $(id).addEventListener("change", (e) => { state[id] = e.target.value; fault = ""; later(); });
for (const id of switches) $(id).addEventListener("change", (e) => { state[id] = e.target.checked; fault = ""; later(); });
$("start").addEventListener("change", async (e) => {
  const name = e.target.value;
  e.target.value = "";
  if (!name) return;
  setText(await engine.ask("text", { name }));
  Object.assign(state, { readings: mapOf([]), code_points: mapOf([]), attester: "", model: "", credential: "", root_of_trust: "" });
  $("root_of_trust").value = "";
  trust();
  later();
});
$("link").addEventListener("click", async () => {
  history.replaceState(null, "", "#" + await toLink());
  try { await navigator.clipboard.writeText(location.href); say("The link is in the clipboard."); } catch { say("The link is in the address bar."); }
});
$("download").addEventListener("change", (e) => { const kind = e.target.value; e.target.value = ""; if (kind) download(kind); });
$("faults-run").addEventListener("click", () => { trust(); runFaults(); });
$("attacks-run").addEventListener("click", () => { trust(); runAttacks(); });
$("diff-run").addEventListener("click", diff);
$("name").addEventListener("change", (e) => { state.name = e.target.value; state.other_readings = mapOf([]); later(); });
$("other").addEventListener("input", (e) => { state.other = e.target.value; state.other_readings = mapOf([]); later(); });

async function openLink() {
  if (location.hash.length < 2) return false;
  let linked;
  try {
    linked = await fromLink(location.hash.slice(1));
  } catch (e) {
    notice("The link cannot be read: " + e.message);
    return false;
  }
  Object.assign(state, linked.state);
  fault = linked.fail;
  attack = linked.attack;
  trusted = false;
  editor.value = state.text;
  $("other").value = state.other;
  $("other-text").open = state.other !== "";
  for (const id of switches) $(id).checked = state[id];
  for (const id of ["root_of_trust", "group", "name"]) $(id).value = state[id];
  forgetRun();
  notice("This profile came with a link. Nothing of it has been run. Look at it, then press Run.");
  return true;
}

// begin asks for what the page shows first: it is stored with the page, so that it need not wait for
// the engine, and the engine says the same.
async function begin() {
  try {
    const response = await fetch("begin.json");
    if (response.ok) return await response.json();
  } catch { /* the engine knows it too */ }
  return engine.ask("begin", {});
}

// warm lets an engine do once what the first change would otherwise wait for.
engine.began = () => {
  say(about ? `attls ${about.version} is ready.` : "The engine is ready.");
  if (trusted && checked && !errors() && !engine.queue.length) engine.ask("run", request()).then(() => { measured.warm ??= performance.now(); }, () => {});
};

(async () => {
  engine.start();
  paint();
  const linked = await openLink();
  let first;
  try { first = await begin(); } catch (e) { say(e.message); return; }
  about = first.about;
  options($("start"), about.profiles.map((value) => ({ value })), "", "…");
  options($("group"), about.groups.map((value) => ({ value })), state.group, "any");
  options($("root_of_trust"), about.roots.map((r) => ({ value: r.name, disabled: !!r.absent, text: r.absent ? r.name + " (not here: " + r.absent + ")" : r.name })), state.root_of_trust, "any");
  options($("name"), about.profiles.map((value) => ({ value })), state.name, "its base");
  for (const id of ["run", "faults-run", "attacks-run", "diff-run"]) $(id).disabled = false;
  if (linked || editor.value) { // what was typed before this was there counts
    keystroke = performance.now();
    await check();
  } else {
    setText(first.text);
    checked = first.check;
    showChecked();
    showRun(first.run);
    measured.drawn = performance.now();
  }
  if (engine.ready) engine.began();
  document.documentElement.dataset.ready = "true";
})();
addEventListener("hashchange", async () => { if (await openLink()) { checked = null; paint(); later(); } });
