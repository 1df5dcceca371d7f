// A list of recommendations with its reasons, and how it differs from the list before.
import { h } from "./dom.js";

export function list(items, { before = null, pick = null, link = true } = {}) {
  const top = items.length ? items[0].score : 0, low = items.length ? items.at(-1).score : 0;
  const places = new Map((before ?? []).map((one, place) => [one.item_id, place]));
  return h("ol", { class: "list" }, items.map((one, place) => h("li", { class: before && !places.has(one.item_id) ? "fresh-in" : null },
    h("span", { class: "place" }, String(place + 1)),
    h("span", {}, link ? h("a", { href: `#/items/${encodeURIComponent(one.item_id)}` }, one.title ?? one.item_id) : one.title ?? one.item_id,
      " ", h("span", { class: "soft small" }, one.title ? one.item_id : ""), " ", before ? moved(places.get(one.item_id), place) : null),
    h("span", { class: "row" }, h("span", { class: "soft small num", title: "score" }, one.score.toFixed(3)),
      pick ? h("button", { onclick: () => pick(one), "aria-label": `Add ${one.title ?? one.item_id} to the history` }, "+") : null),
    one.why ? h("span", { class: "why" }, one.why) : null,
    h("span", { class: "meter", style: `width:${top > low ? 8 + 92 * (one.score - low) / (top - low) : 100}%` }))));
}

function moved(was, is) {
  if (was === undefined) return h("span", { class: "moved fresh" }, "new");
  if (was === is) return null;
  return was > is ? h("span", { class: "moved up" }, `▲ ${was - is}`) : h("span", { class: "moved down" }, `▼ ${is - was}`);
}
