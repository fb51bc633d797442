
(function () {
  "use strict";
  var table = document.getElementById("table");
  if (!table) { return; }
  var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  var search = document.getElementById("search"), count = document.getElementById("count");
  document.getElementById("filter").hidden = false;
  search.addEventListener("input", function () {
    var words = search.value.toLowerCase().split(/\s+/), shown = 0;
    rows.forEach(function (row, at) {
      row.hidden = !words.every(function (word) { return texts[at].indexOf(word) >= 0; });
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = shown + " / " + rows.length;
  });
  var value = function (row, column, kind) {
    var cell = row.cells[column], text = cell.dataset.value || cell.textContent.trim();
    return kind === "number" ? parseFloat(text) : text.toLowerCase();
  };
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
    var kind = head.dataset.sort;
    if (!kind) { return; }
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === (kind === "number" ? "descending" : "ascending");
      var sign = down === (kind === "number") ? 1 : -1;
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (each) { each.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      rows.slice().sort(function (a, b) {
        var x = value(a, column, kind), y = value(b, column, kind);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
}());
