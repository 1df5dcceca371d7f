// The frame of the dashboard: which page is shown, and how pages ask the service.
import { h, show } from "./dom.js";
import { Refused } from "./api.js";

const PAGES = {
  overview: ["Overview", () => import("./overview.js")],
  adaptation: ["Adaptation", () => import("./adaptation.js")],
  playground: ["Playground", () => import("./playground.js")],
  users: ["Users", () => import("./users.js")],
  items: ["Items", () => import("./items.js")],
  models: ["Models", () => import("./models.js")],
};

const main = document.getElementById("main");
let leave = () => {}; // what the page that is shown has to end
let turn = 0;

async function open() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const page = PAGES[name] ? name : "overview";
  const mine = ++turn;
  leave();
  leave = () => {};
  document.querySelector("nav").replaceChildren(
    ...Object.entries(PAGES).map(([key, [title]]) =>
      h("a", { href: `#/${key}`, "aria-current": key === page ? "page" : null }, title)),
  );
  document.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
  document.title = `${PAGES[page][0]} · warmstart`;
  const frame = h("div", { "aria-busy": "true" });
  show(main, frame); // charts take their size from where they are
  try {
    const { render } = await PAGES[page][1]();
    const end = await render(frame, rest.map(decodeURIComponent).join("/"));
    frame.removeAttribute("aria-busy");
    if (mine === turn) leave = end ?? leave;
    else end?.(); // another page was asked for in the meantime
  } catch (error) {
    if (mine === turn) show(main, problem(error));
  }
}

function problem(error) {
  const told = error instanceof Refused ? error.message : `This page cannot be shown: ${error.message}`;
  return h("div", { class: "card error", role: "alert" }, h("p", {}, told),
    h("button", { onclick: open }, "Try again"));
}

addEventListener("hashchange", () => open().then(() => {
  if (!main.contains(document.activeElement)) main.focus({ preventScroll: true }); // who is in it already stays there
}));
addEventListener("DOMContentLoaded", open);
if (document.readyState !== "loading") open();
