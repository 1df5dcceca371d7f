// Elements, numbers and times as people read them. Text is always set as text, so that no title becomes markup.
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") made.style.cssText = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}

export const show = (place, ...children) => place.replaceChildren(...children.flat().filter(Boolean));

export function table(heads, rows, attributes = {}) {
  const numeric = place => (heads[place].num ? "num" : null);
  return h("div", { class: "card scroll", tabindex: 0, ...attributes },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { class: numeric(i), scope: "col" }, head.text)))),
      h("tbody", {}, rows.map(cells => h("tr", {}, cells.map((cell, i) => h("td", { class: numeric(i) }, cell)))))));
}

export const tile = (value, name, more) => h("div", { class: "card" }, h("b", {}, value), h("span", { class: "soft small" }, name), more ? h("span", { class: "under" }, more) : null);

const plain = new Intl.NumberFormat("en");
export const count = value => plain.format(value);
export const share = value => `${(100 * value).toFixed(value < 0.1 && value > 0 ? 1 : 0)} %`;
export const rate = value => (value >= 10 ? value.toFixed(0) : value.toFixed(value >= 1 ? 1 : 2));
export const ms = value => (value >= 100 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`);
export const when = seconds => new Date(1000 * seconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

export function ago(seconds) {
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = units.find(([size]) => seconds >= size) ?? [1, "second"];
  const times = Math.max(0, Math.round(seconds / size));
  return `${times} ${name}${times === 1 ? "" : "s"}`;
}

export function later(wait, run) {
  let timer;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => run(...given), wait); };
}

export async function sure(question) {
  const dialog = document.getElementById("sure");
  dialog.querySelector("p").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise(done => dialog.addEventListener("close", done, { once: true }));
  return dialog.returnValue === "yes";
}
