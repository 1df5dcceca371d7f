// Charts in the colours of the page, which follow when the page turns dark or light.
const dark = matchMedia("(prefers-color-scheme: dark)");
const OPTIONS = { responsive: true, displaylogo: false, displayModeBar: false };
export const COLOURS = ["#c2410c", "#2563eb", "#059669", "#7c3aed", "#d97706", "#0891b2", "#db2777", "#65a30d"];
export const GREYS = ["#71717a", "#a1a1aa", "#78716c", "#94a3b8", "#57534e", "#a8a29e"];

const drawn = new WeakMap();
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function theme() {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: colour("--soft") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    margin: { l: 52, r: 12, t: 12, b: 76 }, axis,
  };
}

export function plot(place, data, layout) {
  const draw = () => {
    const { axis, ...rest } = theme();
    const axes = Object.fromEntries(["xaxis", "yaxis"].map(name => [name, { ...axis, ...layout[name] }]));
    Plotly.react(place, data, { ...rest, hovermode: "x unified", legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" }, ...layout, ...axes }, OPTIONS);
  };
  drawn.get(place)?.(); // drawn before, with other data
  draw();
  dark.addEventListener("change", draw);
  const forget = () => dark.removeEventListener("change", draw);
  drawn.set(place, forget);
  return () => {
    forget();
    setTimeout(() => Plotly.purge(place), 2000); // plotly may still be fitting the margins
  };
}
