// The login: sends name and password once, and opens the page that was asked for.

const form = document.getElementById("login");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const body = JSON.stringify({ name: form.elements.name.value, password: form.elements.password.value });
  try {
    const answer = await fetch("/api/login", { method: "POST", body });
    if (answer.ok) {
      location.replace("/" + location.hash);
      return;
    }
    document.getElementById("error").textContent = (await answer.json()).error;
  } catch {
    document.getElementById("error").textContent = "the dashboard does not answer";
  }
  button.disabled = false;
  form.elements.password.select();
});
