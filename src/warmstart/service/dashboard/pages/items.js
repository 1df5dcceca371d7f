// Items: what is known of one, how it warms up, what is like it, and why it was recommended.
import { ask, segment } from "./api.js";
import { count, h, later, show, table, when } from "./dom.js";
import { COLOURS, plot } from "./plot.js";

export const render = (frame, id) => (id ? one(frame, id) : all(frame));

async function all(frame) {
  const rows = h("div");
  const search = h("input", { type: "search", placeholder: "Search by id or title", "aria-label": "Search items", oninput: later(150, () => find()) });
  async function find() {
    const { items } = await ask(`/v1/search?count=50&q=${segment(search.value)}`);
    show(rows, items.length
      ? table([{ text: "item" }, { text: "title" }, { text: "events it was fitted on", num: true }], items.map(item => [h("a", { href: `#/items/${segment(item.item_id)}` }, item.item_id), item.title ?? "", count(item.events)]))
      : h("p", { class: "soft" }, "No item is called that."));
  }
  frame.append(h("h1", {}, "Items"), h("p", { class: "lead" }, "All that can be recommended, the most popular first."), search, h("div", { style: "height:.8rem" }), rows);
  await find();
}

async function one(frame, id) {
  const [item, activity, alike] = await Promise.all([
    ask(`/v1/items/${segment(id)}`), ask(`/v1/items/${segment(id)}/activity`),
    ask(`/v1/items/${segment(id)}/similar?count=8`).catch(() => ({ items: [] })),
  ]);
  const to = activity.last_recommended_to;
  const why = to === null ? null : await ask(`/v1/explain/${segment(to)}/${segment(id)}`).catch(() => null);
  const chart = h("div", { class: "plot low" });
  const days = activity.series;
  frame.append(
    h("p", { class: "small" }, h("a", { href: "#/items" }, "Items")),
    h("div", { class: "row" }, h("h1", {}, item.properties.title ?? item.title ?? id), activity.new ? h("span", { class: "badge" }, "came after the model") : null),
    h("p", { class: "lead" }, `${count(activity.events)} events of ${count(activity.users)} users, in ${count(activity.recommended)} of the latest recommendations${item.recommendable ? "" : "; it cannot be recommended"}`),
    h("div", { class: "two" },
      h("div", {},
        h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, activity.new ? "How it warms up" : "Day by day"), days.length ? chart : h("p", { class: "soft" }, "Nobody met it yet.")),
        h("h2", {}, "Why it was recommended"),
        h("section", { class: "card" }, why ? h("div", {}, h("p", {}, why.why), h("p", { class: "soft small" }, "To ", h("a", { href: `#/users/${segment(to)}` }, to), `, at place ${why.rank}.`)) : h("p", { class: "soft" }, "It was recommended to no stored user of late."))),
      h("div", {},
        h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, "Properties"), h("dl", {}, Object.entries(item.properties).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]))),
        h("h2", {}, "Those who met it alone are recommended"),
        table([{ text: "item" }, { text: "score", num: true }], alike.items.map(other => [h("a", { href: `#/items/${segment(other.item_id)}` }, other.title ?? other.item_id), other.score.toFixed(3)])),
        activity.latest.length ? h("h2", {}, "Latest events") : null,
        activity.latest.length ? table([{ text: "user" }, { text: "type" }, { text: "time" }], activity.latest.map(event => [h("a", { href: `#/users/${segment(event.user_id)}` }, event.user_id), event.type, when(event.time)])) : null)));
  if (!days.length) return null;
  const bars = (name, title, i) => ({ x: days.map(day => day.day), y: days.map(day => day[name]), name: title, type: "bar", marker: { color: COLOURS[i] } });
  const end = plot(chart, [bars("recommendations", "recommended", 0), bars("events", "met", 1)], { barmode: "group", yaxis: { rangemode: "tozero" }, xaxis: { type: "category" } });
  return end;
}
