// Questions to the service. Where it wants a key, people are asked for one; it is kept for this tab alone.
export class Refused extends Error {}

const KEY = "warmstart-key";

export const key = () => sessionStorage.getItem(KEY);

export async function ask(path, options = {}) {
  const headers = { ...(options.body ? { "Content-Type": "application/json" } : {}), ...(key() ? { "X-API-Key": key() } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, body: options.body ? JSON.stringify(options.body) : undefined });
  } catch {
    throw new Refused("The service does not answer. Is it running?");
  }
  if (answer.status === 401) {
    await askForKey();
    return ask(path, options);
  }
  const found = await answer.json();
  if (!answer.ok) throw new Refused(found.detail ?? answer.statusText);
  return found;
}

export const segment = encodeURIComponent;

async function askForKey() {
  const dialog = document.getElementById("key");
  if (!dialog.open) dialog.showModal();
  await new Promise(done => dialog.addEventListener("close", done, { once: true }));
  sessionStorage.setItem(KEY, dialog.querySelector("input").value);
}
