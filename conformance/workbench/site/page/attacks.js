"use strict";
// The laboratory: every attack on every way to attest of the profile, run on request. A cell
// opens its run between client, attacker and server.

const letters = { accepted: "A", rejected: "R", "cannot be mounted": "C", measured: "M", "not applicable": "–" };
const classes = { accepted: "accepted", rejected: "rejected", "cannot be mounted": "unmounted", measured: "measured", "not applicable": "none" };
let attackRound = 0;

// what a run of all is about; later changes of the text do not count for its cells.
const snapshot = () => ({ text: state.text, readings: mapOf(Object.entries(state.readings)), code_points: mapOf(Object.entries(state.code_points)) });

async function runAttacks() {
  attack = null;
  const round = ++attackRound, began = performance.now(), asked = snapshot();
  $("attack").hidden = true;
  try {
    const list = await engine.ask("attacks", {});
    const rows = list.map((a) => ({ a, boxes: h("td", null, "…") }));
    fill($("attacks"), h("tbody", null, rows.map(({ a, boxes }) => h("tr", null, h("th", { scope: "row", title: a.summary }, a.name, h("small", null, a.capabilities.join(", "))), boxes))));
    $("attacks").classList.remove("old");
    let cells = 0, bad = 0, changed = 0;
    for (const [i, { a, boxes }] of rows.entries()) {
      $("attacks-state").textContent = `${i} of ${plural(rows.length, "attack")}`;
      let found;
      try { found = await engine.ask("attack", { ...asked, name: a.name }); } catch (e) {
        if (round !== attackRound) return;
        fill(boxes, h("span", { class: "bad" }, e.message));
        bad++;
        continue;
      }
      if (round !== attackRound) return;
      cells += found.length;
      bad += found.filter((c) => !c.ok).length;
      changed += found.filter((c) => c.changed).length;
      fill(boxes, found.map((c) => square(asked, a, c)));
    }
    measured.attacks = performance.now() - began;
    $("attacks-state").textContent = `${plural(cells, "cell")}, ${changed ? changed + " otherwise than under the base" : "none otherwise than under the base"}, ` +
      `${bad ? plural(bad, "control") + " not as expected" : "every control as expected"}, in ${(measured.attacks / 1000).toFixed(1)} s`;
  } catch (e) { $("attacks-state").textContent = e.message; }
}

function square(asked, attack, c) {
  const words = `${c.ways}: ${c.told}${c.changed ? "; under the base: " + c.base : ""}`;
  return h("button", { type: "button", class: `square ${c.ok ? classes[c.outcome] || "wrong" : "wrong"}${c.changed ? " otherwise" : ""}`, title: words, "aria-label": `${attack.name}, ${words}`,
    onclick: (e) => openAttack(asked, attack, c, e.currentTarget) }, c.ok ? letters[c.outcome] || "!" : "!");
}

async function openAttack(asked, a, c, button) {
  for (const old of document.querySelectorAll("#attacks [aria-current]")) old.removeAttribute("aria-current");
  if (button) button.setAttribute("aria-current", "true");
  attack = { name: a.name, cell: c.key };
  saveLink();
  try {
    const m = await engine.ask("cell", { ...asked, ...attack });
    fill($("attack"), showAttack(m, c));
  } catch (e) { fill($("attack"), h("p", { id: "attack-title", class: "bad" }, e.message)); }
  $("attack").hidden = false;
  $("attack").focus();
}

function showAttack(m, c) {
  const cell = m.cell, d = m.detail || {}, control = cell.control;
  return [h("h3", { id: "attack-title" }, m.attack.title), h("p", { class: "faint" }, cell.attack + ": " + [cell.profile, ...Object.values(cell.combination), cell.variant].filter((x) => x).join(", ")), h("p", null, m.attack.summary),
    h("p", null, "The attacker has: ", m.attack.capabilities.join(", "), "."),
    m.attack.published && h("p", { class: "faint" }, "Published: " + m.attack.published),
    h("p", { class: "verdict" }, cell.not_applicable ? "Not applicable: " + cell.not_applicable : m.told, cell.result && cell.result.detail ? h("span", { class: "faint" }, ". " + cell.result.detail) : ""),
    c.changed && h("p", { class: "changed" }, "Under the base: " + c.base),
    control && h("p", null, `Control (${control.name}), which must ${control.must}: ${outcomeWords(control.result)}`),
    cell.error && h("p", { class: "bad" }, cell.error),
    d.steps && [h("h4", null, "Steps"), h("ol", null, d.steps.map((s) => h("li", { class: s.done ? null : "faint" }, h("code", null, s.text), s.done ? "" : " not done", s.note ? h("span", { class: "faint" }, " " + s.note) : "")))],
    d.events && [h("h4", null, "Messages"), lanes(d.events)], m.inputs && [h("h4", null, "The two binders, computed apart"), inputs(m.inputs)]];
}

const outcomeWords = (r) => r.outcome + (r.by ? ` by the ${r.by}` : "") + (r.at ? ` at ${r.at}` : "") + (r.alert ? ` with ${r.alert}` : "") + (r.outcome === "cannot be mounted" && r.detail ? `: ${r.detail}` : "");

function lanes(events) {
  const at = { client: 0, attacker: 1, server: 2 };
  return h("div", { class: "lanes", role: "table", "aria-label": "Messages between client, attacker and server" },
    h("div", { class: "flow names", role: "row" }, Object.keys(at).map((n) => h("span", { role: "columnheader" }, n))),
    events.map((f) => {
      const a = at[f.from], b = at[f.to];
      return h("div", { class: `flow ${b > a ? "right" : "left"} l${Math.min(a, b)}${Math.max(a, b)}`, role: "row" }, h("span", { class: "sr", role: "cell" }, `${f.from} to ${f.to}`),
        h("span", { class: "what", role: "cell" }, f.what, " ", h("span", { class: "faint" }, `${plural(f.octets, "octet")}, ${f.connection}`), (f.copied || []).map((x) => h("span", { class: "copied" }, x))));
    }));
}

function inputs(list) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The binder of the relying party and of the attester" }, h("table", { class: "inputs" },
    h("thead", null, h("tr", null, ["Input", "Relying party", "Attester"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", null, list.map((i) => h("tr", { class: i.first ? "changed lit" : i.differs ? "changed" : null }, h("th", { scope: "row" }, i.indent, h("code", null, i.expr), i.first ? " (the first that differs)" : ""),
      h("td", null, h("code", null, i.wanted)), h("td", null, h("code", null, i.have)))))));
}
