// Lets a reader sort the tables of answers by a column: its heading becomes a button.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const way = heading.ariaSort === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      heading.ariaSort = way > 0 ? "ascending" : "descending";
      const text = (row) => row.cells[heading.cellIndex].textContent;
      const unit = (cell) => cell.replace(/^[-+\d.,]+/, "");
      const number = (cell) => parseFloat(cell.replaceAll(",", ""));
      const texts = (one, other) => one.localeCompare(other, "en", { numeric: true });
      const order = (one, other) => (unit(one) === unit(other) ? number(one) - number(other) : 0) || texts(unit(one), unit(other)) || texts(one, other);
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((one, other) => way * order(text(one), text(other))));
    });
  }
}

// On a telephone, a table that is too wide for it becomes one card per row, in which each cell says what it is.
for (const table of document.querySelectorAll("div.cell_output table:is(.answers, .dataframe)")) {
  if (table.tHead.rows.length > 1) continue;
  for (const { cells } of table.tBodies[0].rows)
    for (const cell of cells) cell.dataset.label = table.tHead.rows[0].cells[cell.cellIndex].textContent;
  const box = table.parentElement;
  new ResizeObserver(() => {
    table.classList.remove("cards");
    table.classList.toggle("cards", innerWidth <= 760 && (table.matches(".answers") || box.scrollWidth > box.clientWidth));
  }).observe(box);
}
