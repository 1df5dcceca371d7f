// Adaptation: how good the model is after k events, and the baselines.
import { ask, segment } from "./api.js";
import { h, show } from "./dom.js";
import { COLOURS, GREYS, plot } from "./plot.js";

const NAMES = { "ndcg@10": "nDCG@10", "recall@20": "Recall@20", "hit@10": "Hit@10", mrr: "MRR", mae: "mean absolute error", rmse: "root mean squared error", "ndcg@5": "nDCG@5", "coverage@10": "coverage@10", calibration_error: "calibration error" };
const name = metric => NAMES[metric] ?? metric;

export async function render(frame) {
  const { model } = await ask("/health/ready");
  const found = await ask(`/v1/models/${segment(model)}/report`);
  const chart = h("div", { class: "plot" });
  let end = () => {};
  frame.append(h("h1", {}, "Adaptation"));
  if (found.report) end = ofReport(frame, chart, found);
  else end = ofValidation(frame, chart, found);
  return () => end();
}

function ofReport(frame, chart, found) {
  const { report } = found, shots = report.shots.map(String);
  const metrics = Object.keys(report.results[0].metrics);
  const buttons = h("div", { class: "row", role: "group", "aria-label": "Metric" });
  let end = () => {};
  function draw(metric) {
    show(buttons, metrics.map(one => h("button", { "aria-pressed": String(one === metric), onclick: () => draw(one) }, name(one))));
    end = plot(chart, curves(report, metric, shots), { xaxis: { title: { text: "events of a new user that are known" }, type: "category" }, yaxis: { title: { text: name(metric) }, rangemode: "tozero" } });
  }
  frame.append(
    h("p", { class: "lead" }, verdict(report)), h("div", { class: "card" }, buttons, chart),
    h("p", { class: "soft small" }, `${report.dataset.name}: ${report.dataset.test_tasks.toLocaleString("en")} users that no learner has seen, the same for all; grey are baselines. Bands are 95 % intervals over users.`));
  draw(metrics[0]);
  return () => end();
}

function curves(report, metric, shots) {
  let baselines = 0, ours = report.results.filter(row => row.kind !== "baseline").length;
  return report.results.filter(row => row.metrics[metric]).flatMap(row => {
    const values = shots.map(k => row.metrics[metric][k]), baseline = row.kind === "baseline";
    const color = baseline ? GREYS[baselines++ % GREYS.length] : COLOURS[--ours % COLOURS.length];
    const line = { x: shots, y: values.map(one => one.mean), name: row.learner, mode: "lines+markers", line: { color, width: baseline ? 1.6 : 3, dash: baseline ? "dot" : "solid" } };
    if (baseline || values[0].low === undefined) return [line];
    const band = { x: [...shots, ...shots.slice().reverse()], y: [...values.map(one => one.high), ...values.map(one => one.low).reverse()], fill: "toself", fillcolor: color, opacity: 0.14, line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false };
    return [band, line];
  });
}

function verdict(report) {
  const ours = report.results.filter(row => row.kind !== "baseline").at(-1)?.learner;
  const told = report.against_best_classic.filter(one => one.learner === ours && [1, 3, 10].includes(one.shots)).map(one => {
    const base = report.results.find(row => row.learner === one.classic).metrics[Object.keys(report.results[0].metrics)[0]][one.shots].mean;
    const sign = report.objective === "rating" ? -1 : 1;
    const gain = Math.round(100 * sign * one.difference / base);
    return `${gain >= 0 ? "+" : "−"}${Math.abs(gain)} % after ${one.shots} event${one.shots === 1 ? "" : "s"} (${one.classic})`;
  });
  return told.length ? `${ours} against the best baseline: ${told.join(", ")}.` : "Only baselines were compared.";
}

function ofValidation(frame, chart, found) {
  const race = (found.race ?? []).filter(one => Object.keys(one.valid).length);
  const rows = race.length ? race : [{ learner: found.learner, valid: found.valid_quality, from: [0] }];
  const rating = found.objective === "rating";
  const data = rows.map((row, i) => ({ x: Object.keys(row.valid), y: Object.values(row.valid).map(Math.abs), name: row.learner, mode: "lines+markers", line: { color: row.from.length ? COLOURS[i % COLOURS.length] : GREYS[i % GREYS.length], width: row.from.length ? 3 : 1.6, dash: row.from.length ? "solid" : "dot" } }));
  frame.append(
    h("p", { class: "lead" }, "What was found on validation users while this model was made. A comparison with the tuned baselines on test users is kept by models of ", h("code", {}, "warmstart fit --compare"), " and ", h("code", {}, "warmstart up"), "."),
    h("div", { class: "card" }, chart));
  return plot(chart, data, { xaxis: { title: { text: "events of a new user that are known" }, type: "category" }, yaxis: { title: { text: rating ? "mean absolute error, validation" : "nDCG@10, validation" }, rangemode: "tozero" } });
}
