// Models: versions, which of them answers, and how it compares.
import { ask, segment } from "./api.js";
import { count, h, show, sure, table, when } from "./dom.js";

export async function render(frame) {
  const { models } = await ask("/v1/models");
  const current = models.find(one => one.current);
  const [found, { refits }] = await Promise.all([ask(`/v1/models/${segment(current.version)}/report`), ask("/v1/refits")]);
  const message = h("p", { role: "status" });

  async function change(path, question) {
    if (!await sure(question)) return;
    try {
      await ask(path, { method: "POST" });
      show(frame);
      await render(frame);
    } catch (error) {
      message.textContent = error.message;
    }
  }

  const back = h("button", { onclick: () => change("/v1/models:rollback", "Let the version answer that did before?") }, "Roll back");
  const promote = one => one.current
    ? h("span", { class: "badge" }, "answers now")
    : h("button", { onclick: () => change(`/v1/models/${segment(one.version)}:promote`, `Let version ${one.version} answer from now on?`) }, "Promote");
  frame.append(
    h("div", { class: "row between" }, h("h1", {}, "Models"), back), h("p", { class: "lead" }, "A change takes effect at once in all workers and drops no request."), message,
    table([{ text: "version" }, { text: "learner" }, { text: "saved" }, { text: "events", num: true }, { text: "validation", num: true }, { text: "" }],
      models.slice().reverse().map(one => [whole(one.version), one.learner, whole(when(one.saved)), count(one.facts.data.events), Math.abs(one.facts.valid_mean).toFixed(4), promote(one)])),
    ...board(found), ...refitted(refits));
}

const whole = text => h("span", { style: "white-space:nowrap" }, text);

function board(found) {
  if (!found.report) return [h("h2", {}, "Leaderboard"), h("p", { class: "soft" }, "This version was not compared with the baselines; ", h("code", {}, "warmstart fit --compare"), " does that.")];
  const { report } = found, metric = Object.keys(report.results[0].metrics)[0], smaller = report.objective === "rating";
  const best = Object.fromEntries(report.shots.map(k => [k, [...report.results].sort((a, b) => (smaller ? 1 : -1) * (a.metrics[metric][k].mean - b.metrics[metric][k].mean))[0].learner]));
  const cell = (row, k) => {
    const { mean, low, high } = row.metrics[metric][k];
    return h("span", { class: best[k] === row.learner ? "best" : null }, mean.toFixed(4), h("small", {}, `${low.toFixed(3)} to ${high.toFixed(3)}`));
  };
  return [
    h("h2", {}, `Leaderboard of ${found.version}: ${metric} after k events`),
    table([{ text: "learner" }, ...report.shots.map(k => ({ text: `k=${k}`, num: true })), { text: "ms a user", num: true }],
      report.results.slice().reverse().map(row => [row.learner, ...report.shots.map(k => cell(row, k)), row.adapt_ms.toFixed(2)])),
    h("p", { class: "soft small" }, `${report.dataset.name}, ${count(report.dataset.test_tasks)} users that no learner has seen; below each mean its 95 % interval.`),
  ];
}

function refitted(refits) {
  if (!refits.length) return [];
  return [
    h("h2", {}, "Refits"),
    table([{ text: "version" }, { text: "time" }, { text: "events", num: true }, { text: "it reached", num: true }, { text: "in use then", num: true }, { text: "" }],
      refits.slice().reverse().slice(0, 20).map(one => [one.version, when(one.time), count(one.events), Math.abs(one.new).toFixed(4), Math.abs(one.current).toFixed(4), one.promoted ? "promoted" : "not promoted"])),
  ];
}
