(function () {
  "use strict";
  var bar = document.getElementById("filter"), search = document.getElementById("search");
  if (bar) {
    var cards = Array.prototype.slice.call(document.querySelectorAll("article"));
    var texts = cards.map(function (card) { return card.textContent.toLowerCase(); });
    var buttons = Array.prototype.slice.call(bar.querySelectorAll("button"));
    var shown = "all";
    var apply = function () {
      var words = search.value.toLowerCase();
      cards.forEach(function (card, at) {
        card.hidden = (shown !== "all" && card.dataset.tone !== shown) || (words !== "" && texts[at].indexOf(words) < 0);
      });
    };
    bar.hidden = false;
    buttons.forEach(function (button) {
      button.addEventListener("click", function () {
        shown = button.dataset.show;
        buttons.forEach(function (each) { each.setAttribute("aria-pressed", String(each === button)); });
        apply();
      });
    });
    search.addEventListener("input", apply);
  }
  var open = function () {
    var wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var at = wanted; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") { at.open = true; }
    }
    if (wanted) { wanted.hidden = false; wanted.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.row, details.level").forEach(function (each) { each.open = true; });
  });
  open();
}());
