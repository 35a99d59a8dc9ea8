// Filters of the gallery and of the ledger, and the ledger's sorting. The
// pages can be read without it.

// Shows the elements that fit all fields of a form, and says how many do.
function applyFilters(form) {
  const fields = [...form.querySelectorAll("[data-filter]")];
  let shown = 0;
  for (const element of document.querySelectorAll(form.dataset.filters)) {
    element.hidden = !fields.every((field) => fits(element, field));
    shown += element.hidden ? 0 : 1;
  }
  for (const group of document.querySelectorAll(".cards")) {
    group.closest("section").hidden =
      group.querySelector(".recipe-card:not([hidden])") === null;
  }
  form.querySelector("output").value = `${shown} shown`;
}

// Whether an element fits a field: a menu's value is one of its words, a name
// begins one of them, and free words all occur in its text.
function fits(element, field) {
  const wanted = field.value.trim().toLowerCase();
  const name = field.dataset.filter;
  if (wanted === "") return true;
  if (name === "") {
    const text = element.textContent.toLowerCase();
    return wanted.split(/\s+/).every((word) => text.includes(word));
  }
  const value = (element.dataset[name] ?? "").toLowerCase();
  if (field.tagName === "SELECT") {
    return value === wanted || value.split(" ").includes(wanted);
  }
  return value.split(" ").some((word) => word.startsWith(wanted));
}

// Sorts a table's rows by a column; a second time the other way round. Cells
// without a number come last.
function sortRows(button) {
  const cell = button.closest("th");
  const table = button.closest("table");
  const down = cell.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th")) {
    other.removeAttribute("aria-sort");
  }
  cell.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const found = row.cells[button.dataset.column];
    return found.dataset.sort ?? found.textContent;
  };
  const compare = (one, two) => {
    const [first, second] = [key(one), key(two)];
    if (first === "" || second === "") return first === "" ? 1 : -1;
    const sign = down ? -1 : 1;
    return sign * first.localeCompare(second, "en", { numeric: false });
  };
  const numbers = (one, two) => {
    const [first, second] = [key(one), key(two)];
    if (first === "" || second === "") {
      return (first === "") - (second === "");
    }
    return (down ? -1 : 1) * (Number(first) - Number(second));
  };
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const isNumber = rows.some(
    (row) => row.cells[button.dataset.column].dataset.sort !== undefined,
  );
  body.append(...rows.sort(isNumber ? numbers : compare));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("[data-filters]")) {
    form.addEventListener("input", () => applyFilters(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(applyFilters, 0, form));
    applyFilters(form);
  }
  for (const button of document.querySelectorAll(".ledger th button")) {
    button.addEventListener("click", () => sortRows(button));
  }
});
