"use strict";
// The editor: a text field, and behind it what is known of its lines.

const editor = $("editor");

let printing = false, painted = 0;
addEventListener("beforeprint", () => { printing = true; paint(); });
addEventListener("afterprint", () => { printing = false; paint(); });

// paint draws what is behind the text: numbers of lines, errors, and what the base says.
function paint() {
  const marks = new Map();
  const at = (line) => { if (!marks.has(line)) marks.set(line, { errors: [], warnings: [], base: [] }); return marks.get(line); };
  for (const p of checked ? checked.problems : []) {
    if (p.position.file === "profile.yaml" && p.position.line > 0) at(p.position.line)[p.warning ? "warnings" : "errors"].push(clip(p.text));
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
