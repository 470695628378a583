// Reads the page anew while it is visible, and replaces what changed. Without a script the pages work as they are.
"use strict";
const seconds = Number(document.body.dataset.refresh || 0);
const main = document.querySelector("main");
const typed = (field) =>
  field.options ? [...field.options].some((each) => each.selected !== each.defaultSelected)
    : field.value !== field.defaultValue || field.checked !== field.defaultChecked;
const scrolled = () => [...main.querySelectorAll(".scroll, pre")];
function inUse() {
  return document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed
    || [...main.querySelectorAll("input, select, textarea")].some(typed);
}
async function refresh() {
  if (inUse()) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok && answer.status !== 404) return; // a task that has ended is a page, too
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (inUse() || !fresh || fresh.innerHTML === main.innerHTML) return;
    const places = scrolled().map((each) => [each.scrollLeft, each.scrollTop]);
    main.replaceChildren(...fresh.childNodes);
    document.title = page.title;
    const now = scrolled();
    if (now.length === places.length) now.forEach((each, at) => each.scrollTo(...places[at]));
  } catch { /* the server is away: the page stays as it is */ }
}
if (seconds > 0) setInterval(refresh, seconds * 1000);
