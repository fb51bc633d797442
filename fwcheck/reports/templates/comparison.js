
(function () {
  "use strict";
  var bar = document.getElementById("filter");
  if (!bar) { return; }
  var buttons = Array.prototype.slice.call(bar.querySelectorAll("button")), told = document.getElementById("found");
  bar.hidden = false;
  buttons.forEach(function (button) {
    button.addEventListener("click", function () {
      var tone = button.dataset.show, count = 0;
      buttons.forEach(function (each) { each.setAttribute("aria-pressed", String(each === button)); });
      document.querySelectorAll("main > section").forEach(function (section) {
        var hits = 0;
        section.querySelectorAll("tbody tr").forEach(function (row) {
          row.hidden = tone !== "all" && row.dataset.tone !== tone;
          hits += row.hidden ? 0 : 1;
        });
        section.hidden = !hits;
        count += hits;
      });
      told.textContent = tone === "all" ? "" : told.dataset.words.replace("%", count);
    });
  });
}());
