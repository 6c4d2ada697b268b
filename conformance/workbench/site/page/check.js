"use strict";
// Checks the text a moment after each change, shows the problems, and offers the choices.

let checkTimer = 0, lintTimer = 0, keystroke = 0;

function edited() {
  state.text = editor.value;
  fault = "";
  paint();
  later();
}

// later checks and runs what was changed, a moment after the last change.
function later() {
  keystroke = performance.now();
  saveLink();
  for (const id of ["faults", "attacks"]) $(id).classList.add("old"); // what is there is of before
  clearTimeout(checkTimer);
  clearTimeout(lintTimer);
  checkTimer = setTimeout(check, 30);
}

async function check() {
  const text = state.text;
  try {
    const result = await engine.ask("check", request());
    if (text !== state.text) return;
    checked = result;
    measured.check = performance.now() - keystroke;
  } catch (e) {
    if (e === stale) return;
    checked = { problems: [{ position: { file: "profile.yaml", line: 0, column: 0 }, text: e.message }], overrides: [] };
    showProblems();
    return;
  }
  showChecked();
  if (trusted && !errors()) run();
  if (compared && !errors()) diff();
  lintTimer = setTimeout(lint, 500);
}

function showChecked() {
  showChoices();
  showProblems();
  paint();
}

const errors = () => (checked ? checked.problems.filter((p) => !p.warning).length : 0);

async function lint() {
  const text = state.text;
  try {
    const problems = await engine.ask("lint", { text });
    if (text !== state.text || !checked) return;
    const known = new Set(checked.problems.map((p) => p.text));
    checked.problems = checked.problems.concat((problems || []).filter((p) => !known.has(p.text)));
    showProblems();
    paint();
  } catch (e) { if (e !== stale) $("here").textContent = e.message; }
}

function showProblems() {
  const list = checked ? checked.problems : [];
  const own = list.filter((p) => p.position.file === "profile.yaml" || !p.warning), rest = list.length - own.length;
  const items = own.slice(0, 50).map((p) => h("li", null, h("button", { type: "button", class: p.warning ? "warm" : "bad",
    onclick: () => goTo(Math.max(1, p.position.line), p.position.column) },
  `${p.position.file === "profile.yaml" ? "line " + p.position.line : p.position.file + ":" + p.position.line}: ${p.warning ? "warning" : "error"}: ${clip(p.text)}`, p.advice && h("span", { class: "was" }, clip(p.advice)))));
  if (own.length === 0) items.push(h("li", { class: "good" }, "No errors."));
  if (rest) items.push(h("li", { class: "faint" }, plural(rest, "remark") + " on what is inherited"));
  fill($("problems"), items);
  const o = checked ? checked.overrides : [];
  fill($("overrides"), h("tbody", null, o.slice(0, 300).map((x) => h("tr", null, h("td", null, h("button", { type: "button", onclick: () => goTo(x.position.line, x.position.column) }, String(x.position.line))),
    h("td", null, h("code", null, x.path)), h("td", null, h("code", null, clip(x.base) || "nothing")))), o.length > 300 ? h("tr", null, h("td"), h("td", { colspan: 2 }, plural(o.length - 300, "other"))) : ""));
}

function options(select, list, value, none) {
  const all = none === undefined ? list : [{ value: "", text: none }, ...list];
  fill(select, all.map((o) => h("option", { value: o.value, selected: o.value === value, disabled: o.disabled }, o.text || o.value)));
  select.value = value;
  if (select.value !== value) select.value = "";
}

function showChoices() {
  const p = checked && checked.profile;
  if (!p) return;
  for (const what of ["attester", "model", "credential"]) {
    const words = [...new Set(p.combinations.map((c) => c[what]))];
    options($(what), words.map((w) => ({ value: w, disabled: !p.combinations.some((c) => c[what] === w && !c.reason) })), state[what], "any");
  }
  for (const [id, why] of [["post_handshake", p.no_post_handshake], ["reattest", p.no_reattest]]) {
    $(id).disabled = !!why && !state[id];
    $(id).parentNode.title = why || "";
  }
  if (!$("more").contains(document.activeElement)) {
    readingFields($("readings"), p.readings, state.readings, "");
    fill($("points"), Object.entries(p.code_points || {}).sort().slice(0, 256).map(([name, n]) => h("label", null, name, h("input", { value: "0x" + n.toString(16),
      onchange: (e) => { const v = Number(e.target.value); if (Number.isSafeInteger(v) && v >= 0) state.code_points[name] = v; else delete state.code_points[name]; later(); } }))));
  }
}

// readingFields are the switches of a profile's ambiguities.
function readingFields(where, list, chosen, of) {
  if (where.contains(document.activeElement) && where.children.length === (list || []).length) return; // the one that was just used
  fill(where, (list || []).slice(0, 256).map((r) => {
    const select = h("select", { onchange: (e) => { if (e.target.value === r.Default) delete chosen[r.Switch]; else chosen[r.Switch] = e.target.value; later(); } });
    options(select, r.Options.map((o) => ({ value: o, text: o === r.Default ? o + " (default)" : o })), chosen[r.Switch] || r.Default);
    return h("label", { title: `${r.AMB}: ${r.Why}` }, `${r.Switch} ${of} (${r.AMB})`, select);
  }));
}
