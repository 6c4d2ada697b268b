"use strict";
// Two profiles, and files to download.

let compared = false; // a comparison is shown, and follows changes

async function diff() {
  try {
    const d = await engine.ask("diff", request());
    readingFields($("other-readings"), d.readings, state.other_readings, `of ${d.a}`);
    compared = true;
    fill($("diff"), h("thead", null, h("tr", null, ["Section", "Key", d.a, d.b].map((t) => h("th", null, t)))),
      h("tbody", null, (d.changes || []).slice(0, 2000).map((c) => h("tr", null, h("td", null, c.section), h("td", null, h("code", null, c.path)), h("td", null, h("code", null, clip(c.a) || "–")), h("td", null, h("code", null, clip(c.b) || "–")))),
        (d.octets || []).map((o) => h("tr", null, h("td", null, "octets"), h("td", null, `${o.message}, ${o.attester}, ${o.model}, ${o.credential}`), h("td", { class: "n" }, o.a < 0 ? "–" : String(o.a)), h("td", { class: "n" }, o.b < 0 ? "–" : String(o.b)))),
        (d.changes || []).length + (d.octets || []).length === 0 ? h("tr", null, h("td", { colspan: 4 }, "They say the same.")) : ""));
  } catch (e) {
    if (e === stale) return;
    fill($("diff"), h("tbody", null, h("tr", null, h("td", { class: "bad" }, e.message))));
  }
}

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
