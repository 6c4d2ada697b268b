"use strict";
// The page of the workbench. Everything that comes from a profile, a link or a run is put
// into the page as text, never as markup.

const $ = (id) => document.getElementById(id);

// h makes an element: h("li", {class: "x"}, "text", child, ...).
function h(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? "" : String(v));
  }
  for (const c of children.flat(9)) if (c !== null && c !== undefined && c !== false) e.append(c);
  return e;
}

const fill = (e, ...children) => e.replaceChildren(...children.flat(9).filter((c) => c || c === ""));
const short = (s) => (s && s.length > 44 ? s.slice(0, 28) + "…" + s.slice(-12) : s || "–");
const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

// The engine ---------------------------------------------------------------------------

// limits says how long a call may take, in milliseconds, before the engine is started again.
const limits = { about: 60000, check: 10000, lint: 30000, run: 30000, fault: 30000, faults: 30000, try: 3000 };
const urgency = ["about", "text", "check", "run", "download", "diff", "try", "faults", "lint", "fault"];

const engine = {
  module: null, worker: null, ready: false, current: null, queue: [], next: 1, timer: 0, restarts: 0,

  async load() {
    const response = await fetch("attls.wasm.gz");
    if (!response.ok) throw new Error(`attls.wasm.gz: ${response.status}`);
    const octets = response.body.pipeThrough(new DecompressionStream("gzip"));
    this.module = await WebAssembly.compileStreaming(new Response(octets, { headers: { "Content-Type": "application/wasm" } }));
    this.start();
  },

  start() {
    // A worker of a blob has the content security policy of the page.
    const urls = ["wasm_exec.js", "worker.js"].map((f) => JSON.stringify(new URL(f, location.href).href));
    const url = URL.createObjectURL(new Blob([`importScripts(${urls.join(",")});`], { type: "text/javascript" }));
    this.ready = false;
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => this.heard(data);
    this.worker.onerror = (e) => { e.preventDefault(); this.restart("The engine failed: " + e.message); };
    this.worker.postMessage({ module: this.module });
  },

  heard(data) {
    if (data.ready) {
      this.ready = true;
      this.pump();
    } else if (data.stopped) {
      this.restart("The engine stopped: " + data.stopped);
    } else if (this.current && this.current.id === data.id) {
      const call = this.current;
      clearTimeout(this.timer);
      this.current = null;
      const reply = JSON.parse(data.reply);
      if (reply.broken) this.restart(reply.error);
      if (reply.error) call.reject(new Error(reply.error)); else call.resolve(reply.result);
      this.pump();
    }
  },

  // restart takes a new engine and says why; the call that the old one had fails.
  restart(why) {
    clearTimeout(this.timer);
    this.worker.terminate();
    this.restarts++;
    const call = this.current;
    this.current = null;
    notice(why + "\nIt was started again; the profile is as you left it.");
    if (call) call.reject(new Error(why));
    if (this.restarts > 50) { say("The engine was started too often. Load the page again."); return; }
    this.start();
  },

  pump() {
    if (!this.ready || this.current || this.queue.length === 0) return;
    this.queue.sort((a, b) => urgency.indexOf(a.method) - urgency.indexOf(b.method) || a.id - b.id);
    const call = this.current = this.queue.shift();
    const limit = limits[call.method] || 20000;
    this.timer = setTimeout(() => this.restart(`The engine did not answer "${call.method}" within ${limit / 1000} s.`), limit);
    this.worker.postMessage({ id: call.id, method: call.method, request: JSON.stringify(call.request) });
  },

  // ask calls a method; of check, lint and run only the latest waits.
  ask(method, request) {
    if (["check", "lint", "run"].includes(method)) {
      this.queue = this.queue.filter((c) => c.method !== method || (c.reject(stale), false));
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ id: this.next++, method, request, resolve, reject });
      this.pump();
    });
  },
};
const stale = new Error("there is a newer one");

function say(text) { $("status").textContent = text; }

function notice(text) {
  $("notice").hidden = !text;
  $("notice").textContent = text || "";
}

// State --------------------------------------------------------------------------------

const state = { text: "", readings: {}, code_points: {}, attester: "", model: "", credential: "", group: "", hello_retry: false };
let about = null, checked = null, trusted = true, fault = "";

const request = (more) => ({ ...state, fail: fault || undefined, ...more });

// The state in the link: JSON, deflated, base64url. What a link may hold is bounded, and
// nothing of it is run before the user asks for it.
const maxLink = 300000, maxState = 400000;

async function toLink() {
  const stream = new Blob([JSON.stringify({ v: 1, ...state })]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const octets = new Uint8Array(await new Response(stream).arrayBuffer());
  let s = "";
  for (const o of octets) s += String.fromCharCode(o);
  return btoa(s).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

async function fromLink(hash) {
  if (hash.length > maxLink) throw new Error("it is too long");
  const octets = Uint8Array.from(atob(hash.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const reader = new Blob([octets]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > maxState) { await reader.cancel(); throw new Error("what it holds is too long"); }
    parts.push(value);
  }
  const v = JSON.parse(await new Blob(parts).text());
  if (typeof v !== "object" || v === null || v.v !== 1) throw new Error("it is of another version");
  const text = (x, n) => { if (typeof x !== "string" || x.length > n) throw new Error("it is not a state of this page"); return x; };
  const map = (x, value) => Object.fromEntries(Object.entries(x && typeof x === "object" ? x : {}).slice(0, 256).map(([k, y]) => [text(k, 200), value(y)]));
  const number = (x) => { if (!Number.isSafeInteger(x) || x < 0) throw new Error("it has a code point that is not a number"); return x; };
  return { text: text(v.text, 262144), readings: map(v.readings, (x) => text(x, 200)), code_points: map(v.code_points, number),
    attester: text(v.attester || "", 40), model: text(v.model || "", 40), credential: text(v.credential || "", 40),
    group: text(v.group || "", 40), hello_retry: v.hello_retry === true };
}

let linkTimer = 0;
function saveLink() {
  clearTimeout(linkTimer);
  linkTimer = setTimeout(async () => {
    const hash = "#" + await toLink();
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }, 400);
}

// The editor ---------------------------------------------------------------------------

const editor = $("editor");

let printing = false, painted = 0;
addEventListener("beforeprint", () => { printing = true; paint(); });
addEventListener("afterprint", () => { printing = false; paint(); });

// paint draws what is behind the text: numbers of lines, errors, and what the base says.
function paint() {
  const marks = new Map();
  const at = (line) => { if (!marks.has(line)) marks.set(line, { errors: [], warnings: [], base: [] }); return marks.get(line); };
  for (const p of checked ? checked.problems : []) {
    if (p.position.file === "profile.yaml" && p.position.line > 0) at(p.position.line)[p.warning ? "warnings" : "errors"].push(p.text);
  }
  for (const o of checked ? checked.overrides : []) at(o.position.line).base.push(o.base === "" ? "not in the base" : "base: " + o.base.replace(/\s+/g, " ").slice(0, 120));
  // Only what is in view, and on paper everything, so that a long text does not make typing slow.
  const lines = editor.value.split("\n"), line = 22.4;
  const first = printing ? 0 : Math.max(0, Math.floor(editor.scrollTop / line) - 100), last = printing ? 20000 : first + 300;
  painted = first;
  $("back").style.paddingTop = 8 + first * line + "px";
  fill($("back"), lines.slice(first, last).map((text, n) => {
    const i = first + n, m = marks.get(i + 1);
    const kind = m && (m.errors.length ? "error" : m.warnings.length ? "warning" : "");
    const note = m && (m.errors[0] ? "✗ " + m.errors[0] : m.base.join(", "));
    return h("div", { class: kind || null }, h("i", null, String(i + 1)), text || "​", note && h("em", null, note));
  }));
  scrolled();
  where();
}

function scrolled() {
  const first = Math.max(0, Math.floor(editor.scrollTop / 22.4) - 100);
  if (!printing && Math.abs(first - painted) > 60) { paint(); return; }
  $("back").scrollTop = editor.scrollTop; $("back").scrollLeft = editor.scrollLeft;
}

const lineOf = (position) => editor.value.slice(0, position).split("\n").length;

// where says what there is to say of the line of the cursor.
function where() {
  const line = lineOf(editor.selectionStart);
  const of = [];
  for (const p of checked ? checked.problems : []) if (p.position.line === line && p.position.file === "profile.yaml") of.push(p.text + (p.advice ? ": " + p.advice : ""));
  for (const o of checked ? checked.overrides : []) if (o.position.line === line) of.push(`${o.path}: the base says ${o.base || "nothing"}`);
  $("here").textContent = of.length ? `Line ${line}: ${of.join("; ")}` : `Line ${line}. Ctrl+Space completes, Ctrl+Enter runs.`;
}

function goTo(line, column) {
  const lines = editor.value.split("\n");
  const at = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
  editor.focus();
  editor.setSelectionRange(at + Math.max(0, column - 1), at + (lines[line - 1] || "").length);
  editor.scrollTop = Math.max(0, (line - 6) * 22.4);
  where();
}

function setText(text) {
  editor.value = state.text = text;
  checked = null;
  paint();
}

// Completion ---------------------------------------------------------------------------

let offered = [], picked = -1;

// pathAt is the path of keys around the cursor, by indentation.
function pathAt(lines, row, indent) {
  const path = [];
  for (let i = row - 1; i >= 0 && indent > 0; i--) {
    const m = /^( *)([^\s#:][^:]*):\s*(#.*)?$/.exec(lines[i]);
    if (m && m[1].length < indent) { path.unshift(m[2].replace(/^"|"$/g, "")); indent = m[1].length; }
  }
  return path;
}

// under finds the keys of the reference below a path.
function under(path) {
  const fits = (part, name) => part === name || part === "NAME" || part === "MESSAGE" || (part.startsWith("(") && part.slice(1, -1).split("|").includes(name));
  return about.keys.filter((k) => {
    const parts = k.path.match(/\([^)]*\)|[^.]+/g);
    return parts.length === path.length + 1 && path.every((name, i) => fits(parts[i], name));
  }).flatMap((k) => {
    const last = k.path.match(/\([^)]*\)|[^.]+/g).pop();
    const names = last.startsWith("(") ? last.slice(1, -1).split("|") : last === "NAME" || last === "MESSAGE" ? [] : [last];
    return names.map((word) => ({ word, meaning: k.meaning, values: k.values, key: true }));
  });
}

function complete() {
  const before = editor.value.slice(0, editor.selectionStart), lines = before.split("\n");
  const line = lines[lines.length - 1];
  const key = /^( *)([\w.\/-]*)$/.exec(line), value = /^( *)([^\s#:][^:]*):\s+(?:.*[\s,\[{])?([\w.\/-]*)$/.exec(line);
  let list = [], typed = "";
  if (key) {
    typed = key[2];
    list = under(pathAt(lines, lines.length - 1, key[1].length));
    const causes = pathAt(lines, lines.length - 1, key[1].length).join(".") === "alerts" ? about.causes : [];
    list = list.concat(causes.map((word) => ({ word, meaning: "a cause", key: true })));
  } else if (value) {
    typed = value[3];
    const found = under(pathAt(lines, lines.length - 1, value[1].length)).find((k) => k.word === value[2]);
    list = (found && found.values || []).map((v) => ({ word: v.word, meaning: v.meaning }));
    if (value[2] === "base") list = about.profiles.map((word) => ({ word, meaning: "an embedded profile" }));
    else if (list.length === 0) list = ((checked && checked.profile && checked.profile.names) || []).map((word) => ({ word, meaning: "a name of this profile" }));
  }
  const seen = new Set();
  offered = list.filter((x) => x.word.startsWith(typed) && x.word !== typed && !seen.has(x.word) && seen.add(x.word)).slice(0, 60).map((x) => ({ ...x, typed }));
  picked = offered.length ? 0 : -1;
  showOffers(lines.length, line.length);
}

function showOffers(row, column) {
  const list = $("complete");
  list.hidden = offered.length === 0;
  editor.setAttribute("aria-expanded", String(!list.hidden));
  fill(list, offered.map((x, i) => h("li", { role: "option", id: "offer" + i, "aria-selected": i === picked ? "true" : "false",
    onmousedown: (e) => { e.preventDefault(); take(i); } }, h("b", null, x.word), " ", h("span", { class: "faint" }, x.meaning || ""))));
  if (picked >= 0) editor.setAttribute("aria-activedescendant", "offer" + picked); else editor.removeAttribute("aria-activedescendant");
  if (row) {
    list.style.top = Math.max(0, row * 22.4 + 8 - editor.scrollTop) + "px";
    list.style.left = Math.min(54 + column * 8, editor.clientWidth / 3) + "px";
  }
  const item = $("offer" + picked);
  if (item) item.scrollIntoView({ block: "nearest" });
}

function hideOffers() { offered = []; picked = -1; showOffers(); }

function take(i) {
  const x = offered[i];
  const at = editor.selectionStart;
  editor.setRangeText(x.word + (x.key ? ": " : ""), at - x.typed.length, at, "end");
  hideOffers();
  edited();
}

// Checking -----------------------------------------------------------------------------

let checkTimer = 0, lintTimer = 0, keystroke = 0;
const measured = {}; // milliseconds, for tests

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
  showChoices();
  showProblems();
  paint();
  if (trusted && !errors()) run();
  lintTimer = setTimeout(lint, 500);
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
  `${p.position.file === "profile.yaml" ? "line " + p.position.line : p.position.file + ":" + p.position.line}: ${p.warning ? "warning" : "error"}: ${p.text}`, p.advice && h("span", { class: "was" }, p.advice))));
  if (own.length === 0) items.push(h("li", { class: "good" }, "No errors."));
  if (rest) items.push(h("li", { class: "faint" }, plural(rest, "remark") + " on what is inherited"));
  fill($("problems"), items);
  const o = checked ? checked.overrides : [];
  fill($("overrides"), h("tbody", null, o.map((x) => h("tr", null, h("td", null, h("button", { type: "button", onclick: () => goTo(x.position.line, x.position.column) }, String(x.position.line))),
    h("td", null, h("code", null, x.path)), h("td", null, h("code", null, x.base || "nothing"))))));
}

// Choices ------------------------------------------------------------------------------

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
  if (!$("more").contains(document.activeElement)) {
    fill($("readings"), (p.readings || []).map((r) => {
      const select = h("select", { onchange: (e) => { if (e.target.value === r.Default) delete state.readings[r.Switch]; else state.readings[r.Switch] = e.target.value; later(); } });
      options(select, r.Options.map((o) => ({ value: o, text: o === r.Default ? o + " (default)" : o })), state.readings[r.Switch] || r.Default);
      return h("label", { title: `${r.AMB}: ${r.Why}` }, `${r.Switch} (${r.AMB})`, select);
    }));
    fill($("points"), Object.entries(p.code_points || {}).sort().map(([name, n]) => h("label", null, name, h("input", { value: "0x" + n.toString(16),
      onchange: (e) => { const v = Number(e.target.value); if (Number.isSafeInteger(v) && v >= 0) state.code_points[name] = v; else delete state.code_points[name]; later(); } }))));
  }
}

// The run ------------------------------------------------------------------------------

let lastRun = null;

async function run() {
  const began = performance.now();
  $("right").setAttribute("aria-busy", "true");
  try {
    const r = await engine.ask("run", fault ? request({ attester: "", model: "", credential: "" }) : request());
    measured.run = performance.now() - began;
    lastRun = r;
    showRun(r);
  } catch (e) {
    if (e === stale) return;
    lastRun = null;
    fill($("outcome"), e.message);
    $("outcome").className = "bad";
    for (const id of ["ladder", "binders", "verdicts", "octets"]) fill($(id));
  } finally { $("right").removeAttribute("aria-busy"); }
}

function showRun(r) {
  $("outcome").className = r.ok ? "good" : "bad";
  const s = r.scenario;
  fill($("outcome"), h("strong", null, r.outcome), h("br"), `${s.profile}: attester ${s.attester}, ${s.model || "–"}, ${s.credential || "–"}`,
    s.group ? `, ${s.group}` : "", s.hello_retry ? ", HelloRetryRequest" : "",
    r.fault ? h("span", { class: "was" }, `Fault ${r.fault.name}: ${r.fault.does} `, h("button", { type: "button", onclick: () => { fault = ""; run(); } }, "Without the fault")) : "",
    r.base ? h("span", { class: "was" }, `Compared with ${r.base_name}, with the same keys and random octets.`) : "",
    r.base_error ? h("span", { class: "was" }, `${r.base_name} does not run so: ${r.base_error}`) : "");
  const pairs = pairSteps(r.ladder, r.base ? r.base.ladder : null);
  fill($("ladder"), pairs.filter((p) => p.here).map(showStep));
  showOctets(pairs, r.base_name, !!r.base);
  fill($("binders"), (r.binders || []).length ? r.binders.map((b) => showBinder(b, r.base)) : h("p", { class: "faint" }, "Nothing is bound in this run."));
  fill($("verdicts"), showEnd(r.client), showEnd(r.server));
}

// pairSteps puts each message next to the one of the base of the same kind.
function pairSteps(here, base) {
  const key = (list) => { const n = {}; return list.map((s) => { const k = s.from + " " + s.what; n[k] = (n[k] || 0) + 1; return k + " " + n[k]; }); };
  const mine = key(here), theirs = base ? key(base) : [];
  const out = here.map((s, i) => ({ here: s, base: base && theirs.includes(mine[i]) ? base[theirs.indexOf(mine[i])] : null, alone: !!base && !theirs.includes(mine[i]) }));
  theirs.forEach((k, i) => { if (!mine.includes(k)) out.push({ here: null, base: base[i] }); });
  return out;
}

const fieldsOf = (step) => (step && step.extensions || []).flatMap((x) => (x.fields || []).map((f) => `${x.name}/${x.type}/${x.entry || 0}/${f.path}=${f.value}`));

function showStep(p) {
  const s = p.here, known = new Set(fieldsOf(p.base)), old = new Set((p.base && p.base.extensions || []).map((x) => x.name + "/" + x.type));
  const differs = p.base && p.base.octets !== s.octets;
  const extensions = (s.extensions || []).filter((x) => x.added || (x.fields || []).some((f) => f.path)), others = (s.extensions || []).filter((x) => !extensions.includes(x));
  return h("li", { class: s.from === "server" ? "server" : "client" },
    h("div", { class: "head" }, h("span", { class: "who" }, (s.from === "server" ? "◀ " : "▶ ") + s.what + (s.alert ? " " + s.alert.name : "")),
      h("span", { class: differs || p.alone ? "warm" : "faint" }, plural(s.octets, "octet"), differs ? ` (${s.octets - p.base.octets > 0 ? "+" : ""}${s.octets - p.base.octets})` : "", p.alone ? " (not in the base)" : "", s.unread ? ", unread" : "")),
    h("ul", null, (s.details || []).map((d) => h("li", { class: "faint" }, d)),
      others.length ? h("li", { class: "faint" }, others.map((x) => x.name + ((x.fields || []).length ? ` (${x.fields[0].value})` : "")).join(", ")) : "",
      extensions.map((x) => h("li", { class: p.base && !old.has(x.name + "/" + x.type) ? "added changed" : "added" }, `${x.name} (0x${x.type.toString(16).padStart(4, "0")}), ${plural(x.octets, "octet")}`,
        h("ul", null, (x.fields || []).map((f) => h("li", { class: p.base && !known.has(`${x.name}/${x.type}/${x.entry || 0}/${f.path}=${f.value}`) ? "changed" : null }, f.path ? f.path + ": " : "", f.value)))))));
}

function showOctets(pairs, name, compared) {
  const sum = (k) => pairs.reduce((n, p) => n + (p[k] ? p[k].octets : 0), 0);
  const row = (what, a, b) => h("tr", { class: compared && a !== b ? "warm" : null }, h("td", null, what), h("td", { class: "n" }, a === null ? "–" : String(a)),
    compared && [h("td", { class: "n" }, b === null ? "–" : String(b)), h("td", { class: "n" }, a === b ? "" : String((a || 0) - (b || 0)).replace(/^(?=\d)/, "+"))]);
  fill($("octets"), h("thead", null, h("tr", null, h("th", null, "Message"), h("th", null, "Octets"), compared && [h("th", null, name), h("th", null, "Difference")])),
    h("tbody", null, pairs.map((p) => row(`${(p.here || p.base).from}: ${(p.here || p.base).what}`, p.here ? p.here.octets : null, p.base ? p.base.octets : null)), row("all", sum("here"), compared ? sum("base") : null)));
}

// showBinder draws a tree. A value that the base does not have for the same expression
// is changed; an input, which has no parts of its own, lights up.
function showBinder(b, base) {
  const other = base && (base.binders || []).find((x) => x.attester === b.attester);
  const values = new Map(), names = new Map();
  (function walk(n) {
    if (!n) return;
    values.set(n.expr, n.value || n.error || "");
    if (n.name) names.set(n.name, n.value || "");
    (n.parts || []).forEach(walk);
  })(other && other.tree);
  const draw = (n) => {
    const value = n.value || n.error || "", was = values.has(n.expr) ? values.get(n.expr) : names.get(n.name);
    const inner = n.name && (n.parts || []).length === 1 && (n.parts[0].parts || []).length ? n.parts[0] : n;
    const changed = other && was !== value, leaf = !(inner.parts || []).length;
    return h("li", null, h("div", { class: changed ? "changed" + (leaf ? " lit" : "") : null }, h("code", null, inner === n ? n.expr : `${n.name} = ${inner.expr}`),
      n.literal ? "" : h("span", null, " → ", h("code", { title: value, class: n.error ? "bad" : null }, short(value))),
      changed ? h("span", { class: "was" }, was === undefined ? "the base does not have this" : ["base: ", h("code", { title: was }, short(was))]) : ""),
    (inner.parts || []).length ? h("ul", null, inner.parts.map(draw)) : "");
  };
  return [h("p", null, `Challenge of the ${b.attester}: `, h("code", null, b.value || "–")), b.tree ? h("ul", null, draw(b.tree)) : ""];
}

function showEnd(c) {
  if (!c) return "";
  return [h("p", null, h("strong", null, c.role), `: ${c.state}`, c.error ? h("span", { class: "bad" }, ` ${c.error.failure}: ${c.error.detail}`) : "", c.alert_sent ? `; sent ${c.alert_sent.name}` : "", c.alert_received ? `; received ${c.alert_received.name}` : ""),
    (c.attestation || []).filter((a) => a.verdict).map((a) => [h("p", { class: a.verdict.accepted ? "good" : "bad" }, `on the ${a.attester} (${a.slot}): ${a.verdict.accepted ? "accepted" : "refused: " + (a.verdict.failure || "")}${a.verdict.status ? ", status " + a.verdict.status : ""}`),
      h("ul", { class: "plain" }, (a.verdict.checks || []).map((k) => h("li", { class: k.ok ? null : "bad" }, (k.ok ? "✓ " : "✗ ") + k.name + (k.text ? ": " + k.text : ""))))])];
}

// Faults -------------------------------------------------------------------------------

let faultRound = 0;

async function runFaults() {
  const round = ++faultRound, began = performance.now();
  const asked = { text: state.text, readings: { ...state.readings }, code_points: { ...state.code_points } };
  try {
    const list = await engine.ask("faults", asked);
    const cells = list.map((f) => h("button", { type: "button", title: f.does + " " + f.expects, onclick: () => { fault = f.name; run(); $("right").focus(); } }, f.name));
    fill($("faults"), cells);
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

// Diff ---------------------------------------------------------------------------------

async function diff() {
  try {
    const d = await engine.ask("diff", request({ name: $("diff-with").value, other: $("other").value }));
    fill($("diff"), h("thead", null, h("tr", null, ["Section", "Key", d.a, d.b].map((t) => h("th", null, t)))),
      h("tbody", null, (d.changes || []).map((c) => h("tr", null, h("td", null, c.section), h("td", null, h("code", null, c.path)), h("td", null, h("code", null, c.a || "–")), h("td", null, h("code", null, c.b || "–")))),
        (d.octets || []).map((o) => h("tr", null, h("td", null, "octets"), h("td", null, `${o.message}, ${o.attester}, ${o.model}, ${o.credential}`), h("td", { class: "n" }, o.a < 0 ? "–" : String(o.a)), h("td", { class: "n" }, o.b < 0 ? "–" : String(o.b)))),
        (d.changes || []).length + (d.octets || []).length === 0 ? h("tr", null, h("td", { colspan: 4 }, "They say the same.")) : ""));
  } catch (e) { fill($("diff"), h("tbody", null, h("tr", null, h("td", { class: "bad" }, e.message)))); }
}

// Downloads ----------------------------------------------------------------------------

async function download(kind) {
  try {
    const d = await engine.ask("download", request({ kind }));
    const octets = Uint8Array.from(atob(d.data), (c) => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([octets], { type: d.type }));
    const a = h("a", { href: url, download: d.name });
    document.body.append(a);
    a.click();
    a.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  } catch (e) { notice(e.message); }
}

// Start --------------------------------------------------------------------------------

function trust() { trusted = true; notice(""); }

editor.addEventListener("input", () => { edited(); complete(); });
editor.addEventListener("scroll", scrolled);
for (const e of ["click", "keyup"]) editor.addEventListener(e, where);
editor.addEventListener("blur", hideOffers);
editor.addEventListener("keydown", (e) => {
  if (e.ctrlKey && e.key === " ") { e.preventDefault(); complete(); return; }
  if ((e.ctrlKey || e.metaKey) && e.key === "Enter") { e.preventDefault(); trust(); later(); return; }
  if (!offered.length) return;
  const move = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (move) { e.preventDefault(); picked = (picked + move + offered.length) % offered.length; showOffers(); }
  else if (e.key === "Enter" && picked >= 0) { e.preventDefault(); take(picked); }
  else if (e.key === "Escape") { e.preventDefault(); hideOffers(); }
});
$("choices").addEventListener("submit", (e) => { e.preventDefault(); trust(); later(); });
for (const id of ["attester", "model", "credential", "group"]) $(id).addEventListener("change", (e) => { state[id] = e.target.value; fault = ""; later(); });
$("hello_retry").addEventListener("change", (e) => { state.hello_retry = e.target.checked; fault = ""; later(); });
$("start").addEventListener("change", async (e) => {
  const name = e.target.value;
  e.target.value = "";
  if (!name) return;
  setText(await engine.ask("text", { name }));
  Object.assign(state, { readings: {}, code_points: {}, attester: "", model: "", credential: "" });
  trust();
  later();
});
$("link").addEventListener("click", async () => {
  history.replaceState(null, "", "#" + await toLink());
  try { await navigator.clipboard.writeText(location.href); say("The link is in the clipboard."); } catch { say("The link is in the address bar."); }
});
$("download").addEventListener("change", (e) => { const kind = e.target.value; e.target.value = ""; if (kind) download(kind); });
$("faults-run").addEventListener("click", () => { trust(); runFaults(); });
$("diff-run").addEventListener("click", diff);

async function openLink() {
  if (location.hash.length < 2) return false;
  try {
    Object.assign(state, await fromLink(location.hash.slice(1)));
  } catch (e) {
    notice("The link cannot be read: " + e.message);
    return false;
  }
  trusted = false;
  editor.value = state.text;
  $("hello_retry").checked = state.hello_retry;
  $("group").value = state.group;
  fault = "";
  notice("This profile came with a link. Nothing of it has been run. Look at it, then press Run.");
  return true;
}

(async () => {
  const linked = await openLink();
  paint();
  try {
    await engine.load();
    about = await engine.ask("about", {});
  } catch (e) { say("The engine cannot be loaded: " + e.message); return; }
  options($("start"), about.profiles.map((value) => ({ value })), "", "…");
  options($("group"), about.groups.map((value) => ({ value })), state.group, "any");
  options($("diff-with"), about.profiles.map((value) => ({ value })), "", "its base");
  if (!linked) setText(await engine.ask("text", { name: about.default }));
  measured.ready = performance.now();
  say(`attls ${about.version} is ready.`);
  for (const id of ["run", "faults-run", "diff-run"]) $(id).disabled = false;
  keystroke = performance.now();
  await check();
  document.documentElement.dataset.ready = "true";
})();
addEventListener("hashchange", async () => { if (await openLink()) { checked = null; paint(); later(); } });
