// Users: what is known of somebody, what they are recommended and why.
import { ask, segment } from "./api.js";
import { ago, count, h, show, sure, table, when } from "./dom.js";
import { list } from "./list.js";

export const render = (frame, id) => (id ? one(frame, id) : all(frame));

async function all(frame) {
  const rows = h("div");
  const search = h("input", { type: "search", placeholder: "Id of a user", "aria-label": "Id of a user", onchange: event => { if (event.target.value) location.hash = `#/users/${segment(event.target.value)}`; } });
  frame.append(h("h1", {}, "Users"), h("p", { class: "lead" }, "Those of the latest events. Any other can be opened by id."), search, h("h2", {}, "Active of late"), rows);
  const { users } = await ask("/v1/activity");
  show(rows, users.length
    ? table([{ text: "user" }, { text: "events of late", num: true }, { text: "last" }], users.map(one => [h("a", { href: `#/users/${segment(one.user_id)}` }, one.user_id), count(one.events), `${ago(Date.now() / 1000 - one.last)} ago`]))
    : h("p", { class: "soft" }, "No events yet. Send some to /v1/interactions, or bring them with warmstart import."));
}

async function one(frame, id) {
  const known = await ask(`/v1/users/${segment(id)}`);
  const found = await ask(`/v1/recommend/${segment(id)}?count=10&explain=true`);
  const into = h("input", { placeholder: "id of the user who stays", "aria-label": "Merge into" });

  async function forget() {
    if (!await sure(`Forget everything of ${id}: events, profile and recommendations? This cannot be undone.`)) return;
    const receipt = await ask(`/v1/users/${segment(id)}`, { method: "DELETE" });
    show(frame, h("h1", {}, "Forgotten"), h("p", {}, `Receipt ${receipt.receipt}`), h("p", { class: "soft" }, Object.entries(receipt.forgotten).map(([what, times]) => `${times} ${what}`).join(", ")), h("a", { href: "#/users" }, "All users"));
  }

  async function merge() {
    if (!into.value || !await sure(`Make the events of ${id} those of ${into.value}?`)) return;
    await ask(`/v1/users/${segment(id)}/merge`, { method: "POST", body: { into: into.value } });
    location.hash = `#/users/${segment(into.value)}`;
  }

  const profile = Object.entries(known.profile);
  frame.append(
    h("p", { class: "small" }, h("a", { href: "#/users" }, "Users")),
    h("div", { class: "row between" }, h("h1", {}, id), h("button", { class: "danger", onclick: forget }, "Forget")),
    h("p", { class: "lead" }, `${known.events.length} event${known.events.length === 1 ? "" : "s"} stored, ${found.user.events_used} used, stage: ${found.user.stage}`),
    h("div", { class: "two" },
      h("div", {},
        h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, "Profile"), profile.length ? h("dl", {}, profile.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])) : h("p", { class: "soft" }, "Nothing is stored.")),
        h("h2", {}, "Events, the latest first"),
        table([{ text: "item" }, { text: "type" }, { text: "time" }], known.events.slice().reverse().slice(0, 50).map(event => [h("a", { href: `#/items/${segment(event.item_id)}` }, event.title ?? event.item_id), event.value === null ? event.type : `${event.type} ${event.value}`, when(event.time)])),
        h("h2", {}, "Merge"), h("div", { class: "row" }, into, h("button", { onclick: merge }, "Merge into this user"))),
      h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, "Recommended now, and why"), list(found.items))));
}
