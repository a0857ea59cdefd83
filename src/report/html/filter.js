const bar = document.getElementById("filter");
const search = document.getElementById("search");
const shown = document.getElementById("shown");
const boxes = Array.from(bar.querySelectorAll("input[type=checkbox]"));
const parts = Array.from(document.querySelectorAll("[data-verdict]"));
const texts = new Map(parts.map((part) => [part, part.textContent.toLowerCase()]));
const rows = parts.filter((part) => part.tagName === "TR");
function apply() {
  const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const part of parts) {
    const wanted = verdicts.has(part.dataset.verdict);
    const found = words.every((word) => texts.get(part).includes(word));
    part.hidden = !(wanted ? found : false);
  }
  shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
}
function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
bar.addEventListener("input", apply);
window.addEventListener("hashchange", open);
bar.hidden = false;
apply();
open();
