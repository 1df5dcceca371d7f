// Overview: what goes on now.
import { ask } from "./api.js";
import { ago, count, h, ms, rate, share, show, tile } from "./dom.js";
import { COLOURS, plot } from "./plot.js";

const WINDOWS = [["10 minutes", 600], ["1 hour", 3600], ["1 day", 86400], ["7 days", 604800]];
const STAGES = { prior: "nobody known", "few-shot": "1 to 20 events", known: "more than 20" };
const AGAIN = 5000;

export async function render(frame) {
  let seconds = 3600;
  const tiles = h("div", { class: "cards" });
  const flow = h("div", { class: "plot low" }), stages = h("div");
  const choice = h("div", { class: "row", role: "group", "aria-label": "Window" });
  let end = () => {};

  async function update() {
    const found = await ask(`/v1/stats?window=${seconds}`);
    const now = found.window, took = now.latency_ms;
    const recent = now.series.slice(-3);
    const mean = name => recent.reduce((sum, one) => sum + one[name], 0) / recent.length;
    show(choice, WINDOWS.map(([name, size]) =>
      h("button", { "aria-pressed": String(size === seconds), onclick: () => { seconds = size; update(); } }, name)));
    show(tiles,
      tile(rate(mean("recommendations_per_s")), "recommendations a second", `${count(now.recommendations)} in the window`),
      tile(rate(mean("events_per_s")), "events a second", `${count(now.events)} in the window`),
      tile(took ? ms(took.p50) : "–", "median time to answer", took ? `p95 ${ms(took.p95)}, p99 ${ms(took.p99)}` : "nothing was asked yet"),
      tile(share(now.coverage), "of the items recommended", `${count(now.model.items)} items, ${count(now.model.new_items)} came after the model`),
      tile(now.model.age_s === null ? "–" : ago(now.model.age_s), "age of the model", `${now.model.version}, ${now.model.learner}`),
      tile(count(found.stored.interactions), "events stored", `${count(found.stored.recommendations)} recommendations`));
    const x = now.series.map(one => new Date(1000 * one.time));
    const line = (name, title, i) => ({ x, y: now.series.map(one => one[name]), name: title, mode: "lines", line: { color: COLOURS[i], width: 2.2, shape: "hv" } });
    end = plot(flow, [line("recommendations_per_s", "recommendations", 0), line("events_per_s", "events", 1)],
      { yaxis: { title: { text: "a second" }, rangemode: "tozero" } });
    const known = Object.entries(STAGES).filter(([stage]) => now.stages[stage]);
    show(stages, known.length
      ? known.map(([stage, title]) => h("div", { style: "margin:.5rem 0" },
        h("div", { class: "row between small" }, h("span", {}, title), h("span", {}, share(now.stages[stage]))),
        h("div", { class: "meter", style: `width:${100 * now.stages[stage]}%;height:8px;opacity:.85` })))
      : h("p", { class: "soft" }, "No recommendation in this window yet. Try the ", h("a", { href: "#/playground" }, "playground"), "."));
  }

  frame.append(
    h("div", { class: "row between" }, h("h1", {}, "Overview"), choice), tiles,
    h("div", { class: "two" },
      h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, "Recommendations and events"), flow),
      h("section", { class: "card" }, h("h2", { style: "margin-top:0" }, "For whom recommendations are"), h("p", { class: "soft small" }, "By how many events of a user were known."), stages)));
  await update();
  const timer = setInterval(() => { if (!document.hidden) update().catch(() => {}); }, AGAIN);
  return () => { clearInterval(timer); end(); };
}
