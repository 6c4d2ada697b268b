"use strict";
// Draws a run next to that of the base.

let lastRun = null;

async function run() {
  const began = performance.now();
  $("right").setAttribute("aria-busy", "true");
  try {
    const r = await engine.ask("run", fault ? request({ attester: "", model: "", credential: "" }) : request());
    measured.run = performance.now() - began;
    showRun(r);
  } catch (e) {
    if (e === stale) return;
    lastRun = null;
    fill($("outcome"), e.message);
    $("outcome").className = "bad";
    for (const id of ["ladder", "binders", "verdicts", "octets"]) fill($(id));
  } finally { $("right").removeAttribute("aria-busy"); }
}

// forgetRun takes away what is drawn, which is of another text.
function forgetRun() {
  lastRun = null;
  compared = false;
  $("outcome").className = "";
  fill($("outcome"), "Nothing has been run.");
  for (const id of ["ladder", "binders", "verdicts", "octets", "faults", "attacks", "diff", "other-readings"]) fill($(id));
  for (const id of ["faults-state", "attacks-state"]) $(id).textContent = "";
  $("attack").hidden = true;
  faultRound++;
  attackRound++;
}

function showRun(r) {
  lastRun = r;
  $("outcome").className = r.ok ? "good" : "bad";
  const s = r.scenario;
  fill($("outcome"), h("strong", null, r.outcome), h("br"), `${clip(s.profile)}: attester ${s.attester}, ${s.model || "–"}, ${s.credential || "–"}`,
    s.root_of_trust ? `, ${s.root_of_trust}` : "", s.group ? `, ${s.group}` : "", s.hello_retry ? ", HelloRetryRequest" : "", s.post_handshake ? ", post-handshake authentication" : "", s.reattest ? ", a second attestation" : "", s.extended_key_update ? ", Extended Key Update" : "",
    r.fault ? h("span", { class: "was" }, `Fault ${r.fault.name}: ${r.fault.does} `, h("button", { type: "button", onclick: () => { fault = ""; run(); } }, "Without the fault")) : "",
    r.base ? h("span", { class: "was" }, `Compared with ${r.base_name}, with the same keys and random octets.`) : "",
    r.base_error ? h("span", { class: "was" }, `${r.base_name} does not run so: ${r.base_error}`) : "");
  const pairs = pairSteps(r.ladder, r.base ? r.base.ladder : null);
  const headings = new Map((r.phases || []).map((p) => [p.at, p.name]));
  fill($("ladder"), pairs.filter((p) => p.here).map((p, i) => [headings.has(i) && headings.size > 1 ? h("li", { class: "phase" }, headings.get(i)) : null, showStep(p)]));
  showOctets(pairs, r.base_name, !!r.base);
  fill($("binders"), (r.binders || []).length ? r.binders.map((b) => showBinder(b, r.base, r.base_name)) : h("p", { class: "faint" }, "Nothing is bound in this run."));
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
      h("span", { class: differs || p.alone ? "warm" : "faint" }, plural(s.octets, "octet"), differs ? ` (${s.octets - p.base.octets > 0 ? "+" : ""}${s.octets - p.base.octets})` : "", p.alone ? " (not in the other run)" : "", s.unread ? ", unread" : "")),
    h("ul", null, (s.details || []).map((d) => h("li", { class: "faint" }, d)),
      others.length ? h("li", { class: "faint" }, others.map((x) => x.name + ((x.fields || []).length ? ` (${x.fields[0].value})` : "")).join(", ")) : "",
      extensions.map((x) => h("li", { class: p.base && !old.has(x.name + "/" + x.type) ? "added changed" : "added" }, `${x.name} (0x${x.type.toString(16).padStart(4, "0")}), ${plural(x.octets, "octet")}`,
        h("ul", null, (x.fields || []).slice(0, 300).map((f) => h("li", { class: p.base && !known.has(`${x.name}/${x.type}/${x.entry || 0}/${f.path}=${f.value}`) ? "changed" : null }, f.path ? f.path + ": " : "", f.value)))))));
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
function showBinder(b, base, name) {
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
      changed ? h("span", { class: "was" }, was === undefined ? `${name} does not have this` : [name + ": ", h("code", { title: was }, short(was))]) : ""),
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
