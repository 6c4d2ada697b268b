"use strict";
// Completion of keys and values from the reference.

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
