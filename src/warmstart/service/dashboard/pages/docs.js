// The documentation of the API, made from /openapi.json, in which every request can be tried.
import { key } from "./api.js";
import { h, show } from "./dom.js";

const main = document.getElementById("main");
const schema = await (await fetch("/openapi.json")).json();
const named = found => (found?.$ref ? named(schema.components.schemas[found.$ref.split("/").at(-1)]) : found ?? {});

function example(found, depth = 0) {
  const { examples, properties, items, default: usual, anyOf, type, required = [] } = named(found);
  if (examples?.length) return examples[0];
  if (usual !== undefined) return usual;
  if (anyOf) return example(anyOf[0], depth);
  if (type === "object") return Object.fromEntries(Object.entries(properties ?? {}).filter(([name]) => required.includes(name)).map(([name, one]) => [name, example(one, depth + 1)]));
  if (type === "array") return depth > 3 ? [] : [example(items, depth + 1)];
  return { integer: 1, number: 1, boolean: false, string: "i7" }[type] ?? null;
}

function operation(method, path, told) {
  const parameters = (told.parameters ?? []).filter(one => one.in !== "header");
  const fields = new Map(parameters.map(one => [one, h("input", { "aria-label": one.name, placeholder: one.required ? "needed" : String(named(one.schema).default ?? "") })]));
  const wanted = told.requestBody?.content["application/json"]?.schema;
  const body = wanted ? h("textarea", { rows: 6, style: "width:100%;font:13px ui-monospace,monospace", "aria-label": "Body" }, JSON.stringify(example(wanted), null, 2)) : null;
  const answer = h("pre", { class: "small", style: "overflow:auto;max-height:24rem;margin:.5rem 0 0" });
  async function send() {
    let url = path;
    const query = new URLSearchParams();
    for (const [one, field] of fields) {
      if (one.in === "path") url = url.replace(`{${one.name}}`, encodeURIComponent(field.value));
      else if (field.value) query.set(one.name, field.value);
    }
    const headers = { ...(body ? { "Content-Type": "application/json" } : {}), ...(key() ? { "X-API-Key": key() } : {}) };
    const found = await fetch(query.size ? `${url}?${query}` : url, { method: method.toUpperCase(), headers, body: body?.value });
    const text = await found.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it came */ }
    answer.textContent = `${found.status}\n${shown}`;
  }
  return h("details", { class: "card", style: "margin:.5rem 0" },
    h("summary", {}, h("span", { class: "badge" }, method.toUpperCase()), " ", h("code", {}, path), " ", h("span", { class: "soft small" }, told.summary)),
    h("p", {}, told.description ?? ""),
    parameters.length ? h("div", { class: "cards" }, parameters.map(one => h("label", {}, `${one.name} (${one.in})`, fields.get(one)))) : null,
    body, h("div", { class: "row" }, h("button", { onclick: send }, "Send")), answer);
}

const groups = new Map();
for (const [path, methods] of Object.entries(schema.paths)) {
  for (const [method, told] of Object.entries(methods)) {
    const tag = told.tags?.[0] ?? "other";
    groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, told)]);
  }
}
show(main, h("h1", {}, "API"), h("p", { class: "lead" }, `${schema.info.summary} Errors are problem documents (RFC 9457).`),
  [...groups].flatMap(([tag, operations]) => [h("h2", {}, tag), ...operations]));
