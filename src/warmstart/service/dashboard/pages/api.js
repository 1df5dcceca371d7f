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
    const sent = headers["X-API-Key"] ?? null;
    if (sent === key()) await askForKey(sent !== null);  // else another request has asked meanwhile
    return ask(path, options);
  }
  const found = await answer.json();
  if (!answer.ok) throw new Refused(found.detail ?? answer.statusText);
  return found;
}

export const segment = encodeURIComponent;

// Asks for a key once for all requests that wait for one. Who closes the dialog without a key gets an error
// and not the same question again; a key that was refused is forgotten.
async function askForKey(wasRefused) {
  const dialog = document.getElementById("key"), input = dialog.querySelector("input");
  if (wasRefused && !dialog.open) {
    sessionStorage.removeItem(KEY);
    input.value = "";
    input.placeholder = "That key was refused";
  }
  if (!dialog.open) dialog.showModal();
  await new Promise(done => dialog.addEventListener("close", done, { once: true }));
  const given = input.value.trim();
  if (!given) throw new Refused("The service wants a key. Reload the page to give one.");
  sessionStorage.setItem(KEY, given);
}
