"use strict";
// The pages of mailed links: shows the form that fits, and sends it to the API as JSON.

const token = new URLSearchParams(location.hash.slice(1)).get("token");
// Out of the address bar and the history, where the next one at this device could find it.
history.replaceState(null, "", location.pathname);

const outcome = document.getElementById("outcome");
const fitting = token ? "needed" : "missing";
for (const part of document.querySelectorAll("[data-token]")) {
  part.hidden = part.dataset.token !== fitting;
}

for (const box of document.querySelectorAll("[data-shows]")) {
  const field = document.getElementById(box.dataset.shows);
  box.addEventListener("change", () => { field.type = box.checked ? "text" : "password"; });
}

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

async function send(form) {
  const button = form.querySelector("button");
  const payload = Object.fromEntries(new FormData(form));
  if (form.dataset.token === "needed") payload.token = token;
  button.disabled = true;
  outcome.textContent = "";
  try {
    const answer = await fetch(form.dataset.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(payload),
    });
    form.hidden = answer.ok;
    outcome.textContent = answer.ok ? form.dataset.done : await reason(answer);
  } catch {
    outcome.textContent = "We cannot be reached at the moment. Please try again.";
  }
  button.disabled = false;
}

async function reason(answer) {
  if (answer.status === 429) return "That was very often. Please wait a little, and try again.";
  const problem = await answer.json().catch(() => ({}));
  const [error] = problem.errors ?? [];
  return error?.message ?? problem.detail ?? "That did not work. Please try again.";
}
