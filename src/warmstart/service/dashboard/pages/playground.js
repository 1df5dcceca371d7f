// Playground: be a new user, click, and see the list change after every click.
import { ask, key } from "./api.js";
import { h, later, ms, show } from "./dom.js";
import { list } from "./list.js";

const HOW_MANY = 10;
const STAGES = { prior: "nothing is known of you", "few-shot": "a few events are known", known: "you are well known" };

export async function render(frame) {
  const history = []; // {item_id, title}, oldest first
  let before = null, turn = 0;
  const picks = h("div", { class: "picks" }), chips = h("div", { class: "row", "aria-label": "Your history" });
  const result = h("div"), facts = h("p", { class: "soft small", role: "status" });
  const search = h("input", { type: "search", placeholder: "Search items", "aria-label": "Search items", oninput: later(120, () => find()) });
  const profile = h("input", { placeholder: "country=France, age=25-34", oninput: later(300, () => recommend()) });
  const copy = h("button", { onclick: copied }, "Copy as curl");

  const body = () => ({ history: history.map(one => one.item_id), ...(known() ? { profile: known() } : {}), count: HOW_MANY });
  function known() {
    const parts = profile.value.split(",").map(part => part.split("=").map(text => text.trim())).filter(part => part.length === 2 && part[0] && part[1]);
    return parts.length ? Object.fromEntries(parts) : null;
  }

  async function find() {
    const found = await ask(`/v1/search?count=12&q=${encodeURIComponent(search.value)}`);
    show(picks, found.items.length
      ? found.items.map(one => h("button", { onclick: () => add(one), disabled: history.some(met => met.item_id === one.item_id) },
        h("span", {}, one.title ?? one.item_id), h("span", { class: "soft small" }, "add")))
      : h("p", { class: "soft" }, "No item is called that."));
  }

  function add(one) {
    history.push({ item_id: one.item_id, title: one.title });
    recommend();
    find();
  }

  function remove(place) {
    history.splice(place, 1);
    recommend();
    find();
  }

  async function recommend() {
    const mine = ++turn, begun = performance.now();
    const plain = await ask("/v1/recommend", { method: "POST", body: body() });
    if (mine !== turn) return; // another click came
    const took = performance.now() - begun, was = before;
    before = plain.items;
    show(chips, history.length
      ? history.map((one, place) => h("button", { class: "chip", onclick: () => remove(place), "aria-label": `Remove ${one.title ?? one.item_id}` }, one.title ?? one.item_id, h("span", { "aria-hidden": "true" }, "×")))
      : h("span", { class: "soft" }, "Nothing yet: pick something on the left, or press + in the list."));
    facts.textContent = `${STAGES[plain.user.stage]} · ${plain.user.events_used} event${plain.user.events_used === 1 ? "" : "s"} used · ${ms(plain.took_ms)} in the service, ${ms(took)} to here · ${plain.model}`;
    const draw = items => show(result, ...plain.warnings.map(text => h("p", { class: "small" }, text)), list(items, { before: was, pick: add }));
    draw(plain.items);
    frame.dataset.took = took;
    const told = await ask("/v1/recommend", { method: "POST", body: { ...body(), explain: true } });
    if (mine === turn) { draw(told.items); frame.dataset.explained = mine; }
  }

  async function copied() {
    const secret = key() ? " -H 'X-API-Key: YOUR-KEY'" : "";
    const text = `curl -X POST ${location.origin}/v1/recommend -H 'Content-Type: application/json'${secret} -d '${JSON.stringify({ ...body(), explain: true }).replaceAll("'", "'\\''")}'`;
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      show(result, h("p", { class: "small" }, "Your browser lets no page copy; here it is:"), h("textarea", { rows: 4, style: "width:100%", readonly: true }, text), ...result.childNodes);
    }
    frame.dataset.curl = text;
    setTimeout(() => { copy.textContent = "Copy as curl"; }, 1500);
  }

  frame.append(
    h("h1", {}, "Playground"), h("p", { class: "lead" }, "You are somebody new. Every click is an event, and the list is made anew from all of them."),
    h("div", { class: "two" },
      h("section", { class: "card" }, search, picks),
      h("section", { class: "card" },
        h("div", { class: "row between" }, h("h2", { style: "margin:0" }, "Recommended to you"),
          h("div", { class: "row" }, copy, h("button", { onclick: () => { history.length = 0; before = null; recommend(); find(); } }, "Start over"))),
        h("div", { style: "margin:.5rem 0" }, chips), h("label", {}, "Profile", profile), facts, result)));
  await Promise.all([recommend(), find()]);
}
